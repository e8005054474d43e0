//! `--preview`: the page of the built command, asked as a browser asks it, and the terminal.
#![cfg(all(feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, ChildStderr, Stdio};
use std::time::{Duration, Instant};

#[cfg(feature = "slow-tests")]
mod browser;
#[path = "../common/mod.rs"]
mod common;

use common::test_folder::{Running, SHALLOW, TestFolder, end};
use impasto::picture::Picture;
use serde_json::{Value, json};

/// More steps than any test waits for.
const ENDLESS: [&str; 4] = ["--steps", "1000000", "--algorithm", "direct"];
/// How long anything here may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run with a page.
struct Watched {
    child: Running,
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
    /// `/token/`
    root: String,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request, and returns the connection.
fn send(address: SocketAddr, head: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(stream, "{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
    stream
}

fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, head, body: bytes[end + 4..].to_vec() }
}

/// A stream of events.
struct Events(BufReader<TcpStream>);

impl Iterator for Events {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

impl Events {
    /// The first event for which this holds.
    #[track_caller]
    fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        let found = self.find(|event| {
            assert!(begin.elapsed() < PATIENCE, "{event}");
            holds(event)
        });
        found.expect("the stream ended")
    }
}

impl Watched {
    fn start(folder: &TestFolder, arguments: &[&str]) -> Self {
        Self::start_as(folder, &["--preview"], arguments)
    }

    fn start_as(folder: &TestFolder, preview: &[&str], arguments: &[&str]) -> Self {
        let child = process::Command::new(env!("CARGO_BIN_EXE_impasto"))
            .current_dir(folder.root.path())
            .env("IMPASTO_CACHE", folder.cache.path())
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .args(preview)
            .args(["content.png", "style.jpg", "-o", "out.png"])
            .args(SHALLOW)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Running(child);
        let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the run ended before it was seen: {said}");
            said.push_str(&line);
            if let Some(url) = line.trim_end().strip_prefix("preview: http://") {
                let (address, path) = url.split_once('/').unwrap();
                return Self { child, stderr, address: address.parse().unwrap(), root: format!("/{path}") };
            }
        }
    }

    fn head(&self, method: &str, path: &str) -> String {
        format!("{method} {}{path} HTTP/1.1\r\nHost: {}", self.root, self.address)
    }

    fn get(&self, path: &str) -> Answer {
        read(send(self.address, &self.head("GET", path), ""))
    }

    fn order(&self, order: Value) -> Answer {
        read(send(self.address, &self.head("POST", "order"), &order.to_string()))
    }

    fn events(&self) -> Events {
        // Without the chunks of HTTP/1.1.
        let head = self.head("GET", "events").replace("HTTP/1.1", "HTTP/1.0");
        Events(BufReader::new(send(self.address, &head, "")))
    }

    fn painting(&self) -> Picture {
        let answer = self.get("painting");
        assert_eq!(answer.code, 200, "{}", answer.head);
        Picture::decode(&answer.body, "painting").unwrap()
    }

    /// Waits for the end, and returns the exit code with what was said since the address.
    fn end(mut self) -> (Option<i32>, String) {
        let rest = self.stderr.lines().map(Result::unwrap).collect::<Vec<_>>().join("\n");
        (self.child.0.wait().unwrap().code(), rest)
    }
}

#[test]
fn the_page_loads_with_all_that_it_needs_and_nothing_from_elsewhere() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    assert!(run.address.ip().is_loopback(), "{}", run.address);
    // 128 random bits.
    assert_eq!(run.root.len(), 34);
    for (path, kind) in [("", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")] {
        let answer = run.get(path);
        assert_eq!(answer.code, 200, "{path}");
        for header in
            [&format!("content-type: {kind}; charset=utf-8"), "cache-control: no-store", "default-src 'none'"]
        {
            assert!(answer.head.contains(header), "{path}: {}", answer.head);
        }
        // The name of a format is no address.
        let text = answer.text().replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "\"//", "'//", "@import", "url("] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
    let whole = run.get("state").json();
    assert_eq!(whole["about"]["painting"], "out.png");
    assert_eq!(whole["about"]["size"], json!([32, 24]));
    assert_eq!(whole["content"], true);
    let fields: Vec<&str> = whole["about"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["flag"].as_str().unwrap())
        .collect();
    for flag in ["--alpha", "--beta", "--strength", "--style-layers", "--steps", "--learning-rate"] {
        assert!(fields.contains(&flag), "{fields:?}");
    }
    let content = run.get("content");
    assert_eq!(Picture::decode(&content.body, "").unwrap(), folder.decoded("content.png"));
    assert_eq!(run.get("nothing").code, 404);
    assert_eq!(run.order(json!({ "do": "stop" })).code, 204);
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn events_tell_of_every_step_and_the_last_picture_is_the_file() {
    let folder = TestFolder::new();
    let run = Watched::start_as(&folder, &["--preview", "0"], &["--steps", "30"]);
    let (mut steps, mut costs, mut last) = (0, Vec::new(), Value::Null);
    for event in run.events() {
        let step = event["step"].as_u64().unwrap();
        assert!(step >= steps, "{event}");
        steps = step;
        for row in event["costs"].as_array().unwrap() {
            costs.push(row[0].as_u64().unwrap());
            assert_eq!(row[1].as_array().unwrap().len(), 4);
        }
        last = event;
    }
    assert_eq!(costs, (0..=30).collect::<Vec<_>>());
    assert_eq!(last["names"], json!(["total", "content.conv1_2", "style.conv1_1", "style.conv2_1"]));
    assert_eq!((&last["step"], &last["steps"]), (&30.into(), &30.into()));
    let ended = last["ended"].as_str().unwrap();
    assert!(ended.starts_with("out.png: 32x24, 30 steps, "), "{ended}");
    let shown = run.painting();
    assert_eq!(run.end().0, Some(0));
    assert_eq!(shown, folder.decoded("out.png"));
}

#[test]
fn every_order_acts_on_the_run() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    let mut events = run.events();
    events.until(|event| event["step"].as_u64() > Some(1));

    assert_eq!(run.order(json!({ "do": "pause" })).code, 204);
    let paused = events.until(|event| event["paused"] == true && event["asked"].is_null());
    let step = paused["step"].as_u64().unwrap();
    let picture = run.painting();

    assert_eq!(run.order(json!({ "do": "save" })).code, 204);
    let name = format!("out-{step:05}.png");
    events.until(|event| event["notice"] == format!("saved as {name}"));
    assert_eq!(folder.decoded(&name), picture);
    assert_eq!(run.get("state").json()["now"]["step"], step, "it rests");

    let set = |name: &str, value: Value| {
        assert_eq!(run.order(json!({ "do": "set", "name": name, "value": value })).code, 204);
    };
    let mut refused = |name: &str, value: Value, notice: &str| {
        set(name, value);
        let event = events.until(|event| {
            event["asked"].is_null() && event["notice"].as_str().is_some_and(|said| said.contains(notice))
        });
        assert_eq!(event["values"], paused["values"], "{name}");
    };
    refused("strength", 2.into(), "--strength: 2 is out of range");
    refused("alpha", "much".into(), "--alpha: ");
    refused("gamma", 1.into(), "--gamma: it cannot change");
    refused("seed", 1.into(), "\"seed\" is no option that can change");
    refused("elephant", 1.into(), "\"elephant\" is no option");
    refused("style_layers", json!([]), "--style-layers: no layer is named");

    set("alpha", 3.into());
    events.until(|event| event["values"]["alpha"] == 3.0 && event["notice"] == "--alpha 3");
    let mut layers = paused["values"]["style_layers"].clone();
    layers[0]["weight"] = 0.25.into();
    set("style_layers", layers.clone());
    events.until(|event| event["values"]["style_layers"] == layers);
    set("steps", (step + 1000).into());
    let event = events.until(|event| event["values"]["steps"] == step + 1000);
    assert_eq!(event["steps"], step + 1000);

    assert_eq!(run.order(json!({ "do": "go on" })).code, 204);
    events.until(|event| event["paused"] == false && event["step"].as_u64() > Some(step + 1));

    assert_eq!(run.order(json!({ "do": "stop" })).code, 204);
    let event = events.until(|event| event["ended"].is_string());
    let ended = event["ended"].as_str().unwrap().to_owned();
    assert!(ended.starts_with("stopped: out.png is the picture after "), "{ended}");
    assert_eq!(run.order(json!({ "do": "pause" })).code, 503);
    let shown = run.painting();
    let (code, said) = run.end();
    assert_eq!((code, said.contains(&ended)), (Some(0), true), "{said}");
    assert_eq!(shown, folder.decoded("out.png"));
    assert_ne!(shown, picture);
    assert_eq!(folder.files(), ["content.png", &name, "out.png", "out.png.impasto", "style.jpg"]);
}

/// What is there already is not written over by a click.
#[test]
fn a_picture_is_not_saved_over_another_file() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    let mut events = run.events();
    run.order(json!({ "do": "pause" }));
    let step = events.until(|event| event["paused"] == true)["step"].as_u64().unwrap();
    let name = format!("out-{step:05}.png");
    std::fs::write(folder.path(&name), "mine").unwrap();
    run.order(json!({ "do": "save" }));
    let event = events.until(|event| event["notice"].is_string());
    assert!(event["notice"].as_str().unwrap().starts_with(&format!("{name} is there already")), "{event}");
    assert_eq!(folder.read(&name), b"mine");
    run.order(json!({ "do": "stop" }));
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn other_sites_other_names_and_guesses_get_nothing() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    let mut events = run.events();
    let (port, host) = (run.address.port(), run.address.to_string());
    let own = format!("Host: {host}");
    let guess = format!("/{}/", "0".repeat(32));
    let root = &*run.root;
    let cases = [
        (root, format!("{own}\r\nOrigin: http://example.org")),
        (root, format!("{own}\r\nOrigin: null")),
        (root, format!("{own}\r\nOrigin: http://localhost:{port}")),
        (root, format!("{own}\r\nHost: {host}")),
        (root, format!("Host: example.org:{port}")),
        (root, "Host: 127.0.0.1".to_owned()),
        (root, "X-Host: none".to_owned()),
        (&*guess, own.clone()),
        ("/", own.clone()),
        (&root[..20], own.clone()),
    ];
    for (root, headers) in &cases {
        for path in ["", "page.js", "state", "events", "painting", "content"] {
            let answer = read(send(run.address, &format!("GET {root}{path} HTTP/1.1\r\n{headers}"), ""));
            assert!([400, 403].contains(&answer.code), "{path} {headers}: {answer:?}");
            assert!(answer.body.is_empty(), "{path} {headers}: {answer:?}");
            assert!(!answer.head.contains("access-control"), "{}", answer.head);
        }
        let head = format!("POST {root}order HTTP/1.1\r\n{headers}");
        let answer = read(send(run.address, &head, r#"{"do":"stop"}"#));
        assert!([400, 403].contains(&answer.code) && answer.body.is_empty(), "{headers}: {answer:?}");
    }
    // What is no order is none, and the run goes on.
    for text in ["", "{}", r#"{"do":"quit"}"#, &"[".repeat(10_000)] {
        let answer = read(send(run.address, &run.head("POST", "order"), text));
        assert_eq!((answer.code, answer.body.len()), (400, 0));
    }
    let step = run.get("state").json()["now"]["step"].as_u64();
    events.until(|event| event["step"].as_u64() > step);
    let same = format!("{}\r\nOrigin: http://{host}", run.head("POST", "order"));
    assert_eq!(read(send(run.address, &same, r#"{"do":"stop"}"#)).code, 204);
    assert_eq!(run.end().0, Some(0));
}

/// Ten pages watch, others take nothing of what they asked for, and others never finish asking.
#[test]
fn readers_that_stand_still_hold_up_neither_the_run_nor_other_readers() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    let mut stalled: Vec<TcpStream> = Vec::new();
    for path in ["events", "painting", "content"] {
        stalled.extend((0..8).map(|_| send(run.address, &run.head("GET", path), "")));
    }
    for text in ["", "GET ", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", "\0\0\0\0"] {
        let mut stream = TcpStream::connect(run.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stalled.push(stream);
    }
    let mut readers: Vec<Events> = (0..10).map(|_| run.events()).collect();
    for reader in &mut readers {
        let first = reader.until(|event| event["step"].as_u64() > Some(0))["step"].as_u64();
        reader.until(|event| event["step"].as_u64() > first);
    }
    // A click is answered at once while all cores paint: half of these, where other programs take them, too.
    let mut waits: Vec<Duration> = (0..21)
        .map(|_| {
            let begin = Instant::now();
            assert_eq!(run.order(json!({ "do": "set", "name": "alpha", "value": 3 })).code, 204);
            begin.elapsed()
        })
        .collect();
    waits.sort_unstable();
    assert!(waits[10] < Duration::from_millis(200), "{waits:?}");
    assert_eq!(run.order(json!({ "do": "stop" })).code, 204);
    for reader in &mut readers {
        assert!(reader.until(|event| event["ended"].is_string())["step"].as_u64() > Some(1));
    }
    assert_eq!(run.end().0, Some(0));
    drop(stalled);
}

/// Pages learn why there is no more to see.
#[test]
fn a_run_that_fails_says_so_on_its_page() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &["--steps", "1000000", "--learning-rate", "1e38"]);
    let event = run.events().until(|event| event["ended"].is_string());
    let ended = event["ended"].as_str().unwrap();
    assert!(ended.contains("the cost is not a finite number"), "{ended}");
    assert_eq!(run.end().0, Some(1));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_that_rests() {
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    run.order(json!({ "do": "pause" }));
    run.events().until(|event| event["paused"] == true);
    let (code, said) = end(run.child, run.stderr, &["TERM"]);
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("interrupted: out.png is the picture after "), "{said}");
}

/// In the terminal of `script`: the picture in half blocks, drawn over itself, and below it how the run ended.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_the_painting() {
    let folder = TestFolder::new();
    folder.refuses(
        2,
        &["-o", "out.png", "--steps", "0", "--preview", "terminal"],
        "--preview: standard error is no terminal",
    );
    if process::Command::new("script").arg("--version").output().is_err() {
        println!("skipped: there is no script of util-linux");
        return;
    }
    let size = "stty rows 24 cols 80; ";
    let painting =
        format!("exec {} --preview terminal content.png style.jpg -o out.png", env!("CARGO_BIN_EXE_impasto"));
    let command = format!("{size}{painting} {} --steps 3 --algorithm direct", SHALLOW.join(" "));
    let mut script = process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).current_dir(folder.root.path()).stdin(Stdio::null());
    script
        .env("IMPASTO_CACHE", folder.cache.path())
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor");
    let output = script.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let painted = folder.decoded("out.png");
    // 24 lines but four, and a cell is twice as high as wide.
    let shown = painted.resized(53, 40);
    let rgb = shown.rgb();
    let ([a, b, c], [d, e, f]) = ([rgb[0], rgb[1], rgb[2]], [rgb[159], rgb[160], rgb[161]]);
    let first = format!("\x1b[38;2;{a};{b};{c}m\x1b[48;2;{d};{e};{f}m▀");
    let last = said.rfind(&first).unwrap_or_else(|| panic!("{first:?} is not in {said:?}"));
    let rest = &said[last..];
    assert_eq!(rest.matches('▀').count(), 53 * 20, "{rest}");
    assert!(rest.contains("out.png: 32x24, 3 steps"), "{rest}");
}

#[test]
fn a_wrong_place_is_named() {
    let folder = TestFolder::new();
    folder.refuses(2, &["-o", "out.png", "--preview=nowhere"], "give terminal, a port such as 8080");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("--preview={}", taken.local_addr().unwrap());
    folder.refuses(1, &["-o", "out.png", "--steps", "0", "-q", &place], "cannot be listened to");
}
