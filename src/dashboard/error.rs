//! What is wrong with the settings or the listener of the page.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why the page is not served.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// Reachable from outside without a token.
    #[error(
        "`dashboard.listen` {address} is reachable from outside; set `dashboard.token` or listen on 127.0.0.1"
    )]
    Open {
        /// Where it would have listened.
        address: SocketAddr,
    },
    /// The file with the token cannot be read.
    #[error("cannot read `{}`, named by `dashboard.token_file`", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No secret at all.
    #[error("`dashboard.token` is empty; give a long random text or remove it")]
    EmptyToken,
    /// The listener failed.
    #[error("the page's listener failed")]
    Listener(#[from] io::Error),
}

/// `dashboard.mae_max` is not a limit.
#[derive(Debug, thiserror::Error)]
#[error("is {0}, expected a number above 0")]
pub struct MaeMaxError(pub(super) f64);
