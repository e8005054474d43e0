//! Where `--preview` shows the painting.

use std::net::{Ipv4Addr, SocketAddr};

/// The place of `--preview` alone: a free port of this computer.
pub(crate) const USUAL_PLACE: &str = "0";

/// The place that is the terminal.
const TERMINAL: &str = "terminal";

/// Whether an argument behind `--preview` is its place, and no picture's name.
pub(crate) fn is_place(text: &str) -> bool {
    place(text).is_ok()
}

/// Where the painting is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a browser, by a page at this address.
    Page(SocketAddr),
    /// In the terminal that the run was started from.
    Terminal,
}

/// The place of `--preview=WHERE`.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    if text == TERMINAL {
        return Ok(Place::Terminal);
    }
    let port = text.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|| text.parse().ok()).map(Place::Page).ok_or_else(|| {
        format!("give {TERMINAL}, a port such as 8080, or an address with one such as 0.0.0.0:8080")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_this_computers_unless_another_is_given() {
        for (text, expected) in [
            (USUAL_PLACE, "127.0.0.1:0"),
            ("8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(Ok(place(text)), expected.parse().map(|address| Ok(Place::Page(address))), "{text}");
        }
        assert_eq!(place("terminal"), Ok(Place::Terminal));
        for text in ["", "70000", "localhost", "127.0.0.1", "-1", "example.org:80"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
