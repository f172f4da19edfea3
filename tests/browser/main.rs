//! The page in a real browser: `residual plot` over a log that the test writes, and headless Chromium (package `chromium`
//! on Debian and Ubuntu).
//!
//! Headless Chromium hands out the document once it is loaded. A proxy stands between browser and page: it adds one
//! image and holds it back until the test has seen enough, notes what is asked for, and can cut the stream of updates.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

#[path = "../support/http.rs"]
mod http;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/running.rs"]
mod running;
#[path = "../support/shown.rs"]
mod shown;

use std::{
    fs,
    io::{Cursor, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
    task::block_in_place,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    http::Client,
    process::{Residual, Running},
    shown::{HEADER, assert_shows_summary, rows},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Names under which the browser is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// `residual plot` with its page.
struct Server {
    folder: TempDir,
    running: Running,
    /// What it logs; kept open so that it can go on logging.
    _lines: Box<dyn Iterator<Item = String> + Send>,
    client: Client,
}

impl Server {
    /// Over a log of these rows; waits until the page shows them.
    async fn over(rows: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let args = [
            "plot",
            "--listen",
            "127.0.0.1:0",
            "--refresh",
            "200ms",
            "--log-format",
            "json",
        ];
        fs::write(folder.path().join(LOG), format!("{HEADER}{rows}")).unwrap();
        let mut running = Residual::new(folder.path(), &args)
            .env("RESIDUAL__DASHBOARD__UPDATE_MS", "50")
            .env("RESIDUAL__PLOT__POLL_MS", "20")
            .start();
        let mut lines = running.log_lines();
        let address = block_in_place(|| lines.by_ref().find_map(|line| address(&line)));
        let server = Self {
            folder,
            running,
            _lines: Box::new(lines),
            client: Client(address.expect("the page has an address")),
        };
        server.until_rows(rows.lines().count()).await;
        server
    }

    fn append(&self, rows: &str) {
        let path = self.folder.path().join(LOG);
        let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
        log.write_all(rows.as_bytes()).unwrap();
    }

    async fn summary(&self) -> Value {
        let answer = self.client.get("/api/summary").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until the page knows so many rows.
    async fn until_rows(&self, rows: usize) {
        let seen = async {
            while self.summary().await["rows"] != rows {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, seen).await.expect("rows in time");
    }

    fn end(self) {
        self.running.terminate();
        assert_eq!(block_in_place(|| self.running.exit_code()), Some(0));
    }
}

const LOG: &str = "logs/metric_log.csv";

/// Where the page is, from the log line that says so.
fn address(line: &str) -> Option<SocketAddr> {
    let event: Value = serde_json::from_str(line).unwrap();
    let url = event["url"].as_str()?;
    url.strip_prefix("http://")?.parse().ok()
}

struct Browser {
    profile: TempDir,
    url: String,
}

impl Browser {
    fn new(address: SocketAddr) -> Self {
        Self {
            profile: tempfile::tempdir().unwrap(),
            url: format!("http://{address}/"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(find());
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--hide-scrollbars",
                "--enable-logging=stderr",
                "--no-first-run",
            ])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(arguments)
            .arg(&self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Opens the page and hands out the document as it is when the proxy lets go.
    fn look(&self) -> Child {
        self.command(&["--dump-dom"]).spawn().unwrap()
    }

    fn screenshot(&self, path: &Path, size: &str, more: &[&str]) -> Child {
        let file = format!("--screenshot={}", path.display());
        let size = format!("--window-size={size}");
        self.command(&[&[file.as_str(), &size], more].concat())
            .spawn()
            .unwrap()
    }
}

fn find() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places =
        std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    places
        .into_iter()
        .find(|place| place.is_file())
        .expect("no Chromium on this machine: install the package `chromium` (Debian, Ubuntu: apt-get install chromium)")
}

async fn finish(browser: Child) -> Output {
    timeout(PATIENCE, browser.wait_with_output())
        .await
        .expect("the browser hangs")
        .unwrap()
}

/// What scripts complain about comes out as `CONSOLE` lines.
#[track_caller]
fn no_console_error(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    let console: Vec<_> = said
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(console.is_empty(), "{console:#?}");
    assert!(output.status.success(), "{said}");
}

/// Stands between browser and page.
struct Proxy {
    address: SocketAddr,
    asked: watch::Receiver<Vec<String>>,
    scissors: watch::Sender<CancellationToken>,
    let_go: CancellationToken,
}

/// What every connection of a proxy knows.
#[derive(Clone)]
struct Passage {
    page: Client,
    asked: watch::Sender<Vec<String>>,
    scissors: watch::Receiver<CancellationToken>,
    let_go: CancellationToken,
}

impl Proxy {
    async fn before(page: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (note, asked) = watch::channel(Vec::new());
        let (sender, scissors) = watch::channel(CancellationToken::new());
        let let_go = CancellationToken::new();
        let passage = Passage {
            page,
            asked: note,
            scissors,
            let_go: let_go.clone(),
        };
        tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                tokio::spawn(passage.clone().open(browser));
            }
        });
        Self {
            address,
            asked,
            scissors: sender,
            let_go,
        }
    }

    fn count(&self, path: &str) -> usize {
        self.asked
            .borrow()
            .iter()
            .filter(|asked| *asked == path)
            .count()
    }

    async fn until_asked(&mut self, path: &str, times: usize) {
        let enough =
            |asked: &Vec<String>| asked.iter().filter(|asked| *asked == path).count() >= times;
        drop(
            timeout(PATIENCE, self.asked.wait_for(enough))
                .await
                .expect("never asked")
                .unwrap(),
        );
    }

    /// Cuts the streams that are open.
    fn cut(&self) {
        self.scissors
            .send_replace(CancellationToken::new())
            .cancel();
    }
}

const HELD: &str = "/held-back.svg";

impl Passage {
    /// Answers one request after the other, each on a connection of its own to the page.
    async fn open(self, mut browser: TcpStream) {
        let mut bytes = vec![0; 16 << 10];
        // A browser sends a request without a body in one piece.
        let Ok(size @ 1..) = browser.read(&mut bytes).await else {
            return;
        };
        let request = String::from_utf8_lossy(&bytes[..size]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let cut = self.scissors.borrow().clone();
        self.asked.send_modify(|asked| asked.push(path.clone()));
        match path.as_str() {
            "/" => self.document(&mut browser).await,
            HELD => {
                self.let_go.cancelled().await;
                let image = r#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#;
                answer(&mut browser, "Content-Type: image/svg+xml", image).await;
            }
            _ => {
                let Ok(mut page) = TcpStream::connect(self.page.0).await else {
                    return;
                };
                if page.write_all(request.as_bytes()).await.is_ok() {
                    drop(cut.run_until_cancelled(copy(&mut page, &mut browser)).await);
                }
            }
        }
    }

    async fn document(&self, browser: &mut TcpStream) {
        let page = self.page.get("/").await;
        let policy = page.header("Content-Security-Policy").unwrap();
        let headers =
            format!("Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: {policy}");
        let image = format!(r#"<img src="{HELD}" alt=""></body>"#);
        answer(browser, &headers, &page.text().replace("</body>", &image)).await;
    }
}

async fn answer(browser: &mut TcpStream, headers: &str, body: &str) {
    let size = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    drop(browser.write_all(format!("{head}{body}").as_bytes()).await);
}

/// Long enough for an update to reach the page and be shown.
const SHOWN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_arrives_without_a_reload_and_the_page_shows_the_summary() {
    let server = Server::over(&rows(0..40)).await;
    let mut proxy = Proxy::before(server.client).await;
    let browser = Browser::new(proxy.address);
    let looking = browser.look();
    proxy.until_asked("/events", 1).await;
    server.append(&rows(40..90));
    server.until_rows(90).await;
    sleep(SHOWN).await;
    proxy.let_go.cancel();
    let looked = finish(looking).await;
    no_console_error(&looked);
    let document = String::from_utf8(looked.stdout).unwrap();
    assert_shows_summary(&document, &server.summary().await);
    assert!(document.contains(r#"<data id="all_time.n" value="90">"#));
    assert!(!document.contains(r#"<body class="lost">"#));
    assert_eq!(proxy.count("/"), 1, "without a reload");
    server.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_was_cut_off_comes_back_by_itself() {
    let server = Server::over(&rows(0..40)).await;
    let mut proxy = Proxy::before(server.client).await;
    let browser = Browser::new(proxy.address);
    let looking = browser.look();
    proxy.until_asked("/events", 1).await;
    sleep(SHOWN).await;
    proxy.cut();
    server.append(&rows(40..60));
    proxy.until_asked("/events", 2).await;
    sleep(SHOWN).await;
    proxy.let_go.cancel();
    let document = String::from_utf8(finish(looking).await.stdout).unwrap();
    assert!(
        document.contains(r#"<data id="all_time.n" value="60">"#),
        "{document}"
    );
    assert!(!document.contains(r#"<body class="lost">"#));
    assert_eq!(proxy.count("/"), 1, "without a reload");
    server.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_the_page_can_be_made_in_light_dark_and_narrow() {
    let wide = format!("{},1e300,0.0,1e300\n", "x".repeat(10_000));
    let server = Server::over(&format!("{}{wide}", rows(0..400))).await;
    for (name, size, more) in [
        ("page-light.png", "1280,1500", &[] as &[&str]),
        (
            "page-dark.png",
            "1280,1500",
            &[
                "--force-dark-mode",
                "--blink-settings=preferredColorScheme=0",
            ],
        ),
        (
            "page-narrow.png",
            "390,3600",
            &["--force-device-scale-factor=2"],
        ),
    ] {
        let mut proxy = Proxy::before(server.client).await;
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_file(&path));
        let browser = Browser::new(proxy.address);
        let taking = browser.screenshot(&path, size, more);
        proxy.until_asked("/events", 1).await;
        sleep(SHOWN).await;
        proxy.let_go.cancel();
        no_console_error(&finish(taking).await);
        let picture = fs::read(&path).unwrap();
        let count = colours(&picture, |_| true);
        assert!(count > 100, "{name} has {count} colours");
        // What is too wide would reach into the margin.
        assert_eq!(colours(&picture, |from_right| from_right < 8), 1, "{name}");
    }
    server.end();
}

/// Different colours of the columns that are wanted, by their distance from the right.
fn colours(png: &[u8], is_wanted: fn(usize) -> bool) -> usize {
    let mut picture = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; picture.output_buffer_size().unwrap()];
    let frame = picture.next_frame(&mut pixels).unwrap();
    let width = frame.width as usize;
    let pixels = pixels.chunks(frame.color_type.samples()).enumerate();
    pixels
        .filter(|(place, _)| is_wanted(width - 1 - place % width))
        .map(|(_, pixel)| pixel)
        .collect::<std::collections::HashSet<_>>()
        .len()
}
