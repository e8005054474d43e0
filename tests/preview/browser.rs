//! The page in a real browser: headless Chromium, where it is installed, driven by its own protocol (DevTools) through pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::test_folder::TestFolder;
use super::{ENDLESS, PATIENCE, Watched};

/// Chromium's usual names.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with tabs.
struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
    /// What pages complained of.
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, with a word, where there is no Chromium.
    fn start() -> Option<Self> {
        let has =
            |name: &str| Command::new(name).arg("--version").output().is_ok_and(|it| it.status.success());
        let Some(name) = NAMES.iter().find(|name| has(name)) else {
            println!("skipped: there is no Chromium");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // It reads from descriptor 3 and writes to 4, which are our pipes.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null 2>/dev/null </dev/null", name])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, input, output, last: 0, complaints: Vec::new(), _profile: profile })
    }

    /// Calls a method, and returns its result.
    fn call(&mut self, tab: Option<&str>, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut call = json!({ "id": self.last, "method": method, "params": params });
        if let Some(tab) = tab {
            call["sessionId"] = tab.into();
        }
        write!(self.input, "{call}\0").unwrap();
        loop {
            let mut bytes = Vec::new();
            assert_ne!(self.output.read_until(0, &mut bytes).unwrap(), 0, "the browser has gone");
            bytes.pop();
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            if ["Runtime.exceptionThrown", "Log.entryAdded"].iter().any(|it| message["method"] == *it) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }

    /// Opens a tab of this size.
    fn open(&mut self, url: &str, (width, height): (u32, u32), scheme: &str) -> String {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let tab = self.call(None, "Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            self.call(Some(&tab), domain, json!({}));
        }
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800 });
        self.call(Some(&tab), "Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call(Some(&tab), "Emulation.setEmulatedMedia", scheme);
        self.call(Some(&tab), "Page.navigate", json!({ "url": url }));
        tab
    }

    /// The value of an expression.
    fn value(&mut self, tab: &str, expression: &str) -> Value {
        let call = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call(Some(tab), "Runtime.evaluate", call);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    fn until(&mut self, tab: &str, expression: &str) {
        let begin = Instant::now();
        let guarded =
            format!("(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()");
        while self.value(tab, &guarded) != true {
            let text = self.value(tab, "document.body ? document.body.innerText : ''");
            assert!(begin.elapsed() < PATIENCE, "{expression} is never true: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses a key, as a keyboard does.
    fn press(&mut self, tab: &str, key: &str, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            if key == "Tab" {
                event["windowsVirtualKeyCode"] = 9.into();
            }
            self.call(Some(tab), "Input.dispatchKeyEvent", event);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    fn url(&self) -> String {
        format!("http://{}{}", self.address, self.root)
    }
}

const STEP: &str = "Number(document.getElementById('where').textContent.match(/\\d+/)[0])";

/// Loads, updates, and each control acts, by clicks and by keys alone.
#[test]
fn the_page_shows_the_run_and_every_control_acts() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    let tab = browser.open(&run.url(), (1280, 800), "light");
    browser.until(&tab, "!painting.hidden && !content.hidden && costs.length > 2");
    let step = browser.value(&tab, STEP).as_u64().unwrap();
    browser.until(&tab, &format!("{STEP} > {step}"));
    assert_eq!(browser.value(&tab, "document.querySelectorAll('#chart polyline').length"), 4);
    assert_eq!(browser.value(&tab, "document.querySelectorAll('#names li').length"), 4);

    // Every control is reached by the keyboard, once.
    let controls = "[...document.querySelectorAll('button, input, select, summary, [tabindex]')].filter(it => !it.disabled).length";
    let controls = browser.value(&tab, controls).as_u64().unwrap();
    browser.value(&tab, "window.reached = new Set()");
    for _ in 0..controls + 2 {
        browser.press(&tab, "Tab", "");
        browser.value(&tab, "void reached.add(document.activeElement)");
    }
    let reached = "[...reached].filter(it => it !== document.body && it !== document.documentElement).length";
    assert_eq!(browser.value(&tab, reached), controls);
    let named = "[...document.querySelectorAll('button, input, select')].every(it => it.textContent || it.ariaLabel || it.labels.length)";
    assert_eq!(browser.value(&tab, named), true);

    // The picture: keys and buttons zoom and move, the slider lays the photograph over it.
    browser.value(&tab, "view.focus()");
    let scale = |browser: &mut Browser, tab: &str| browser.value(tab, "scale").as_f64().unwrap();
    let fitted = scale(&mut browser, &tab);
    browser.press(&tab, "+", "+");
    assert!(scale(&mut browser, &tab) > fitted);
    let left = browser.value(&tab, "left").as_f64().unwrap();
    browser.press(&tab, "ArrowRight", "");
    assert_eq!(browser.value(&tab, "left").as_f64().unwrap(), left - 40.0);
    browser.press(&tab, "1", "1");
    assert_eq!(browser.value(&tab, "document.getElementById('zoom').textContent"), "100 %");
    browser.value(&tab, "document.getElementById('fit').click()");
    assert_eq!(scale(&mut browser, &tab), fitted);
    browser.value(&tab, "document.getElementById('slider').focus()");
    browser.press(&tab, "End", "");
    assert_eq!(browser.value(&tab, "content.style.clipPath"), "inset(0px 0% 0px 0px)");

    // The run: pause by the space bar, and then by clicks.
    browser.value(&tab, "document.getElementById('pause').focus()");
    browser.press(&tab, " ", " ");
    browser.until(&tab, "now.paused && !now.asked");
    let step = browser.value(&tab, "now.step").as_u64().unwrap();
    browser.until(&tab, "shown === now.picture[0]");
    browser.value(&tab, "document.getElementById('save').click()");
    let name = format!("out-{step:05}.png");
    browser.until(&tab, &format!("document.getElementById('notice').textContent === 'saved as {name}'"));
    // What is seen are the pixels of the file.
    let seen = "(() => { const it = Object.assign(document.createElement('canvas'), {width: painting.naturalWidth, height: painting.naturalHeight}); \
                const on = it.getContext('2d'); on.drawImage(painting, 0, 0); \
                return [...on.getImageData(0, 0, it.width, it.height).data].filter((_, at) => at % 4 < 3); })()";
    let seen: Vec<u8> = serde_json::from_value(browser.value(&tab, seen)).unwrap();
    assert_eq!(seen, folder.decoded(&name).rgb());

    let slide = "(() => { const it = document.querySelector('[aria-label=\"--alpha, slider\"]'); it.value = 1; it.oninput(); it.onchange(); })()";
    browser.value(&tab, slide);
    browser.until(
        &tab,
        "now.values.alpha === 20 && document.getElementById('notice').textContent === '--alpha 20'",
    );
    let weigh = "(() => { const it = document.querySelector('[aria-label=\"--style-layers, conv2_1\"]'); it.value = 0.125; it.onchange(); })()";
    browser.value(&tab, weigh);
    browser.until(
        &tab,
        "now.values.style_layers[1].weight === 0.125 && now.values.style_layers[0].weight === 0.5",
    );
    let refuse = "(() => { const it = document.querySelector('[aria-label=\"--strength\"]'); it.value = 7; it.onchange(); })()";
    browser.value(&tab, refuse);
    browser.until(
        &tab,
        "document.getElementById('notice').textContent.includes('--strength: 7 is out of range')",
    );
    browser.value(&tab, "document.getElementById('pause').click()");
    browser.until(&tab, &format!("!now.paused && now.step > {step}"));
    browser.value(&tab, "document.getElementById('stop').click()");
    browser.until(
        &tab,
        "now.ended && now.ended.startsWith('stopped: ') && document.getElementById('stop').disabled",
    );
    browser.until(&tab, "shown === now.picture[0]");
    let seen_last = browser.value(&tab, "painting.naturalWidth");
    assert_eq!(run.end().0, Some(0));
    assert_eq!(seen_last, 32);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

/// A browser opens six connections to an address at most, and all ten tabs go on; a page on a phone is as wide as that.
#[test]
fn ten_tabs_of_a_browser_watch_at_once_at_every_width() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TestFolder::new();
    let run = Watched::start(&folder, &ENDLESS);
    let sizes = [(1280, 800), (390, 844)];
    let mut tabs = Vec::new();
    for index in 0..10 {
        let (size, scheme) = (sizes[index % 2], if index % 4 < 2 { "light" } else { "dark" });
        tabs.push((browser.open(&run.url(), size, scheme), size, scheme));
    }
    for (tab, (width, _), scheme) in &tabs {
        browser.until(tab, "now.step > 1 && costs.length > 1");
        let step = browser.value(tab, "now.step");
        browser.until(tab, &format!("now.step > {step}"));
        assert_eq!(browser.value(tab, "document.documentElement.scrollWidth"), *width, "{scheme}");
    }
    // A click in a tab is seen at once, and in all others after the step.
    let click = "(async () => { const begin = performance.now(); await order({do: 'pause'}); return performance.now() - begin; })()";
    let wait = browser.value(&tabs[9].0, click).as_f64().unwrap();
    assert!(wait < 1000.0, "{wait} ms");
    for (tab, ..) in &tabs {
        browser.until(tab, "now.paused && document.getElementById('pause').textContent === 'Go on'");
    }
    browser.value(&tabs[4].0, "document.getElementById('stop').click()");
    for (tab, ..) in &tabs {
        browser.until(tab, "now.ended && document.getElementById('pause').disabled");
    }
    assert_eq!(run.end().0, Some(0));
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
