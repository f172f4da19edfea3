//! The page in a real browser: headless Chromium (package `chromium` on Debian and Ubuntu).
//!
//! Headless Chromium hands out the document once it is loaded. A proxy stands between browser and page: it adds one
//! image and holds it back until the test has seen enough, notes what is asked for, and can cut the stream of updates.

use std::{
    fs,
    io::Cursor,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    assert_shows_summary,
    http::Client,
    server::{HEADER, Plan, rows},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Names under which the browser is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

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
        .expect("no Chromium on the PATH: install the package `chromium`")
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
async fn an_update_arrives_without_a_reload_and_the_page_tells_the_summary() {
    let plan = Plan::with_log(format!("{HEADER}{}", rows(0..40)));
    let mut server = plan.build().await;
    server.rows(40).await;
    let mut proxy = Proxy::before(server.client).await;
    let browser = Browser::new(proxy.address);
    let looking = browser.look();
    proxy.until_asked("/events", 1).await;
    server.append(&rows(40..90));
    server.rows(90).await;
    sleep(SHOWN).await;
    proxy.let_go.cancel();
    let looked = finish(looking).await;
    no_console_error(&looked);
    let document = String::from_utf8(looked.stdout).unwrap();
    assert_shows_summary(&document, &server.client.get("/api/summary").await.json());
    assert!(document.contains(r#"<data id="all_time.n" value="90">"#));
    assert!(!document.contains(r#"<body class="lost">"#));
    assert_eq!(proxy.count("/"), 1, "without a reload");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_was_cut_off_comes_back_by_itself() {
    let plan = Plan::with_log(format!("{HEADER}{}", rows(0..40)));
    let mut server = plan.build().await;
    server.rows(40).await;
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
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_the_page_can_be_made_in_light_dark_and_narrow() {
    let wide = format!("{},1e300,0.0,1e300\n", "x".repeat(10_000));
    let plan = Plan::with_log(format!("{HEADER}{}{wide}", rows(0..400)));
    let mut server = plan.build().await;
    server.rows(401).await;
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
    server.end().await;
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
