//! The page's server: what it answers, and whom. It has one thread of its own beside those that pack pictures, so a reader
//! that stands still holds up no other reader, and never the run.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::board::{Board, Shown};
use super::order::Order;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Connections at once. A browser has six.
const MAX_CONNECTIONS: usize = 128;
/// How long the head of a request, and the text of an order, may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_LIMIT: usize = 16 << 10;
/// Bytes of an order; far more than the layers of a network take.
const ORDER_LIMIT: usize = 16 << 10;
/// Between two events of a stream, at least.
const EVENT_PAUSE: Duration = Duration::from_millis(100);
/// Without a change, something is sent after this time, so that a page that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

type Answer = Response<Either<Full<Bytes>, Channel<Bytes, Infallible>>>;

struct Site {
    board: Arc<Board>,
    orders: SyncSender<Order>,
    /// What every path begins with.
    root: String,
    address: SocketAddr,
}

/// Serves until the program ends. Paths begin with `/token/`.
pub(super) fn start(
    listener: TcpListener,
    board: Arc<Board>,
    orders: SyncSender<Order>,
    token: &str,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let site = Arc::new(Site { board, orders, root: format!("/{token}/"), address: listener.local_addr()? });
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    thread::Builder::new().name("preview".into()).spawn(move || runtime.block_on(serve(listener, site)))?;
    Ok(())
}

async fn serve(listener: TcpListener, site: Arc<Site>) {
    // The runtime has what this needs.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open, which passes.
            sleep(EVENT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&connections).try_acquire_owned() else { continue };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let site = Arc::clone(&site);
                async move { Ok::<_, Infallible>(site.answer(request).await) }
            });
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(REQUEST_LIMIT).max_buf_size(HEAD_LIMIT);
            // A page that has gone is no reason to stop.
            let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
            drop(place);
        });
    }
}

impl Site {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if !is_of_page(request.headers(), self.address) {
            return nothing(StatusCode::FORBIDDEN);
        }
        let path = request.uri().path().strip_prefix(&self.root).map(str::to_owned);
        let Some(path) = path else { return nothing(StatusCode::FORBIDDEN) };
        match (request.method(), &*path) {
            (&Method::GET, "") => file("text/html; charset=utf-8", PAGE),
            (&Method::GET, "page.css") => file("text/css; charset=utf-8", STYLE),
            (&Method::GET, "page.js") => file("text/javascript; charset=utf-8", SCRIPT),
            (&Method::GET, "state") => file("application/json", self.whole().to_string()),
            (&Method::GET, "events") => self.events(),
            (&Method::GET, "painting") => {
                let (picture, has_ended) = {
                    let state = self.board.state();
                    (state.picture(), state.ended.is_some())
                };
                let answer = self.picture(picture).await;
                self.board.was_seen(has_ended);
                answer
            }
            (&Method::GET, "content") => self.picture(self.board.content.clone()).await,
            (&Method::POST, "order") => self.order(request).await,
            _ => nothing(StatusCode::NOT_FOUND),
        }
    }

    /// All that there is to know.
    fn whole(&self) -> Value {
        json!({
            "about": self.board.about,
            "content": self.board.content.is_some(),
            "now": self.board.state().changing(None),
        })
    }

    /// Server-sent events (HTML, 9.2): what changes, as often as it changes, until the page or the run ends.
    fn events(self: Arc<Self>) -> Answer {
        let (sender, body) = Channel::new(1);
        tokio::spawn(async move {
            self.board.readers.fetch_add(1, Ordering::SeqCst);
            self.board.wants_picture.store(true, Ordering::SeqCst);
            self.write_events(sender).await;
            self.board.readers.fetch_sub(1, Ordering::SeqCst);
        });
        answer("text/event-stream", Either::Right(body))
    }

    /// A reader that stands still is waited for here, and gets what is new when it goes on.
    async fn write_events(&self, mut sender: Sender<Bytes>) {
        let mut changes = self.board.changes();
        let mut seen = None;
        loop {
            changes.mark_unchanged();
            let (text, has_ended) = {
                let state = self.board.state();
                let text = format!("data: {}\n\n", state.changing(seen));
                seen = state.last_costs();
                (text, state.ended.is_some())
            };
            if sender.send_data(text.into()).await.is_err() || has_ended {
                return;
            }
            sleep(EVENT_PAUSE).await;
            while timeout(KEEP_ALIVE, changes.changed()).await.is_err() {
                if sender.send_data(Bytes::from_static(b": still here\n\n")).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn picture(&self, shown: Option<Arc<Shown>>) -> Answer {
        let Some(shown) = shown else { return nothing(StatusCode::NOT_FOUND) };
        let opacity = self.board.opacity.clone();
        match tokio::task::spawn_blocking(move || shown.file(opacity.as_ref())).await {
            Ok(Some((bytes, kind))) => file(kind, bytes),
            _ => nothing(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    async fn order(&self, request: Request<Incoming>) -> Answer {
        let text = timeout(REQUEST_LIMIT, Limited::new(request.into_body(), ORDER_LIMIT).collect()).await;
        let Ok(Ok(text)) = text else { return nothing(StatusCode::BAD_REQUEST) };
        let Some(order) = Order::read(&text.to_bytes()) else { return nothing(StatusCode::BAD_REQUEST) };
        let asked = order.asked();
        // The run takes them between two steps.
        if self.board.state().ended.is_some() {
            return nothing(StatusCode::SERVICE_UNAVAILABLE);
        }
        self.board.change(|state| state.asked = Some(asked));
        if self.orders.try_send(order).is_err() {
            return nothing(StatusCode::SERVICE_UNAVAILABLE);
        }
        nothing(StatusCode::NO_CONTENT)
    }
}

/// Whether a request comes from the page at `address`, or was typed: not from another site's page, and not under a name that
/// another site may have had lead here. On all interfaces the computer has several addresses, and none of them is a name.
fn is_of_page(headers: &HeaderMap, address: SocketAddr) -> bool {
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().map(|value| value.to_str().unwrap_or_default());
        if values.next().is_some() { Some("") } else { first }
    };
    let Some(host) = only(header::HOST) else { return false };
    let all = address.ip().is_unspecified();
    // Port 80 is left out where it is the usual one.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    let ip: Option<IpAddr> = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let is_local = name == "localhost" && (all || address.ip().is_loopback());
    let is_known = is_local || ip.is_some_and(|ip| all || ip == address.ip());
    is_known
        && port == Some(address.port())
        && only(header::ORIGIN).is_none_or(|origin| origin == format!("http://{host}"))
}

/// Where a browser of this computer finds what listens at `address`.
pub(super) fn local(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn nothing(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = status;
    answer
}

fn file(kind: &'static str, bytes: impl Into<Bytes>) -> Answer {
    answer(kind, Either::Left(Full::new(bytes.into())))
}

fn answer(kind: &'static str, body: Either<Full<Bytes>, Channel<Bytes, Infallible>>) -> Answer {
    let mut answer = Response::new(body);
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ];
    answer.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn is_taken(address: &str, headers: &[(HeaderName, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| _ = map.append(name, value));
        is_of_page(&map, address.parse().unwrap())
    }

    #[test]
    fn requests_of_other_sites_and_by_other_names_are_refused() {
        let here = "127.0.0.1:8000";
        for (address, host, expected) in [
            (here, "127.0.0.1:8000", true),
            (here, "localhost:8000", true),
            (here, "127.0.0.1:8001", false),
            (here, "127.0.0.1", false),
            (here, "127.0.0.2:8000", false),
            (here, "example.org:8000", false),
            (here, "localhost.example.org:8000", false),
            (here, "", false),
            ("127.0.0.1:80", "localhost", true),
            ("[::1]:8000", "[::1]:8000", true),
            ("[::1]:80", "[::1]", true),
            ("0.0.0.0:8000", "192.168.1.7:8000", true),
            ("0.0.0.0:8000", "localhost:8000", true),
            ("0.0.0.0:8000", "example.org:8000", false),
            ("192.168.1.7:8000", "192.168.1.7:8000", true),
            ("192.168.1.7:8000", "localhost:8000", false),
        ] {
            assert_eq!(is_taken(address, &[(header::HOST, host)]), expected, "{host} at {address}");
        }
        assert!(!is_taken(here, &[]));
        let host = (header::HOST, "127.0.0.1:8000");
        assert!(!is_taken(here, &[host.clone(), host.clone()]));
        for (origin, expected) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost:8000", false),
            ("https://127.0.0.1:8000", false),
            ("http://example.org", false),
            ("null", false),
        ] {
            assert_eq!(is_taken(here, &[host.clone(), (header::ORIGIN, origin)]), expected, "{origin}");
        }
    }
}
