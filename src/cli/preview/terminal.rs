//! The painting in the terminal: as a picture where the terminal can show one, else in half blocks of two colours each.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use console::Term;
use impasto::picture::{Picture, PictureFormat};
use impasto::transfer::Transfer;

use super::due::Due;
use crate::cli::progress::Progress;
use crate::cli::{Failure, Result};

/// Between two pictures, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// Lines that are left for the bar and what is said.
const OTHER_LINES: u16 = 4;
/// Bytes of a piece of a picture, by kitty's protocol.
const PIECE: usize = 4096;

/// How a terminal takes a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Kitty's, which Ghostty has too.
    Kitty,
    /// iTerm2's, which WezTerm and mintty have too.
    ITerm,
    /// Characters in any colour, or in those of a cube.
    Blocks { all_colours: bool },
}

impl Protocol {
    /// By what terminals say of themselves in the environment. What lies between, such as tmux, hides them.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, known: &[&str]| {
            variable(name).is_some_and(|value| known.iter().any(|known| value.contains(known)))
        };
        let all_colours = is("COLORTERM", &["truecolor", "24bit"]);
        if is("TERM", &["screen", "tmux"]) {
            Self::Blocks { all_colours }
        } else if is("TERM", &["kitty", "ghostty"]) {
            Self::Kitty
        } else if is("TERM_PROGRAM", &["iTerm", "WezTerm", "mintty"]) {
            Self::ITerm
        } else {
            Self::Blocks { all_colours }
        }
    }
}

/// Refuses what is no terminal.
pub(super) fn check() -> Result<()> {
    if io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::Usage(
        "--preview: standard error is no terminal that could show the painting; leave out \"terminal\" for a page in the \
         browser"
            .into(),
    ))
}

/// A terminal that shows a run.
pub(crate) struct Terminal {
    protocol: Protocol,
    due: Due,
    /// Lines of the last picture, and how many lines had been said before it.
    lines: u16,
    said: usize,
}

impl Terminal {
    /// The terminal of standard error, where the progress is.
    pub(super) fn of_environment() -> Self {
        let protocol = Protocol::of(|name| env::var(name).ok());
        Self { protocol, due: Due::after(PAUSE), lines: 0, said: 0 }
    }

    /// Whether it is time for another picture.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_now()
    }

    /// Shows the picture as it is.
    pub(super) async fn show(&mut self, transfer: &mut Transfer, progress: &Progress) -> Result<()> {
        let begin = Instant::now();
        let picture = transfer.picture().await?;
        self.draw(&picture, progress)?;
        self.due.shown(begin);
        Ok(())
    }

    /// Draws over the last picture, unless something was said below it.
    pub(super) fn draw(&mut self, picture: &Picture, progress: &Progress) -> Result<()> {
        let (rows, columns) = Term::stderr().size();
        let (columns, rows) = cells(picture, (columns, rows.saturating_sub(OTHER_LINES)));
        let mut text = String::new();
        if self.lines > 0 && self.said == progress.said() {
            // Writing to a text does not fail.
            let _ = write!(text, "\x1b[{}A\r\x1b[J", self.lines);
        }
        text.push_str(&drawn(picture, (columns, rows), self.protocol)?);
        (self.lines, self.said) = (rows, progress.said());
        // A terminal that is gone is no reason to stop.
        progress.aside(|| _ = io::stderr().write_all(text.as_bytes()));
        Ok(())
    }
}

/// Columns and rows of a picture that fits into these. A cell is twice as high as wide, and shows two pixels of a small one.
fn cells(picture: &Picture, (columns, rows): (u16, u16)) -> (u16, u16) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()) / 2.0);
    let scale = (f64::from(columns.max(1)) / width).min(f64::from(rows.max(1)) / height);
    let fitted = |side: f64| ((side * scale).round() as u16).max(1);
    (fitted(width), fitted(height))
}

/// What draws a picture into these cells, and ends on the line below.
fn drawn(picture: &Picture, (columns, rows): (u16, u16), protocol: Protocol) -> Result<String> {
    if let Protocol::Blocks { all_colours } = protocol {
        return Ok(blocks(&picture.resized(columns.into(), (2 * rows).into()), all_colours));
    }
    let file = picture.encode(PictureFormat::Png)?;
    let (length, file) = (file.len(), STANDARD.encode(file));
    // The lines are there before the picture, so that it does not scroll.
    let mut text = "\n".repeat(rows.into());
    let _ = write!(text, "\x1b[{rows}A\x1b7");
    if protocol == Protocol::Kitty {
        let pieces = file.as_bytes().chunks(PIECE);
        let last = pieces.len() - 1;
        for (index, piece) in pieces.enumerate() {
            let begin = if index == 0 {
                format!("a=T,f=100,i=1,p=1,q=2,C=1,c={columns},r={rows},")
            } else {
                String::new()
            };
            let more = u8::from(index < last);
            let _ = write!(text, "\x1b_G{begin}m={more};{}\x1b\\", String::from_utf8_lossy(piece));
        }
    } else {
        let _ = write!(
            text,
            "\x1b]1337;File=inline=1;size={length};width={columns};height={rows};preserveAspectRatio=0:{file}\x07"
        );
    }
    let _ = write!(text, "\x1b8\x1b[{rows}B\r");
    Ok(text)
}

/// Two rows of pixels in a line: the upper ones as half blocks, over a ground in the colours of the lower ones.
fn blocks(picture: &Picture, all_colours: bool) -> String {
    let width = picture.width() as usize;
    let colour = |ground: u8, [red, green, blue]: [u8; 3]| {
        if all_colours {
            return format!("\x1b[{ground}8;2;{red};{green};{blue}m");
        }
        // The cube of 6 levels each, from number 16.
        let [red, green, blue] = [red, green, blue].map(|level| (u16::from(level) * 5 + 127) / 255);
        format!("\x1b[{ground}8;5;{}m", 16 + 36 * red + 6 * green + blue)
    };
    let (pixels, _) = picture.rgb().as_chunks::<3>();
    let mut text = String::new();
    for two in pixels.chunks(2 * width) {
        let (upper, lower) = two.split_at(width);
        for (upper, lower) in upper.iter().zip(lower) {
            text.push_str(&colour(3, *upper));
            text.push_str(&colour(4, *lower));
            text.push('▀');
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// One that is packed into several pieces.
    fn picture(width: u32, height: u32) -> Picture {
        let mixed = |index: u32| {
            let product = index.wrapping_mul(2_654_435_761);
            ((product ^ (product >> 15)).wrapping_mul(2_246_822_519) >> 13) as u8
        };
        let rgb = (0..width * height * 3).map(mixed).collect();
        Picture::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn a_terminal_is_known_by_its_environment() {
        let of = |set: &[(&str, &str)]| {
            Protocol::of(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let blocks = |all_colours| Protocol::Blocks { all_colours };
        for (set, expected) in [
            (&[("TERM", "xterm-kitty")][..], Protocol::Kitty),
            (&[("TERM", "xterm-ghostty"), ("TERM_PROGRAM", "ghostty")], Protocol::Kitty),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")], Protocol::ITerm),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")], Protocol::ITerm),
            (
                &[("TERM", "tmux-256color"), ("TERM_PROGRAM", "iTerm.app"), ("COLORTERM", "truecolor")],
                blocks(true),
            ),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "24bit")], blocks(true)),
            (&[("TERM", "xterm-256color")], blocks(false)),
            (&[], blocks(false)),
        ] {
            assert_eq!(of(set), expected, "{set:?}");
        }
    }

    #[test]
    fn a_picture_fits_into_the_terminal() {
        for (size, room, expected) in [
            ((400, 300), (80, 20), (53, 20)),
            ((300, 400), (80, 20), (30, 20)),
            ((400, 100), (80, 20), (80, 10)),
            ((400, 1), (80, 20), (80, 1)),
            ((1, 400), (80, 20), (1, 20)),
            ((4, 4), (0, 0), (1, 1)),
        ] {
            assert_eq!(cells(&picture(size.0, size.1), room), expected, "{size:?} in {room:?}");
        }
    }

    #[test]
    fn half_blocks_have_the_colours_of_two_pixels() {
        let two = Picture::from_rgb(1, 2, vec![255, 0, 10, 0, 128, 255]).unwrap();
        assert_eq!(blocks(&two, true), "\x1b[38;2;255;0;10m\x1b[48;2;0;128;255m▀\x1b[0m\n");
        assert_eq!(blocks(&two, false), "\x1b[38;5;196m\x1b[48;5;39m▀\x1b[0m\n");
        assert_eq!(blocks(&picture(7, 6), true).lines().count(), 3);
    }

    /// What a terminal puts together again is the picture, whole.
    #[test]
    fn a_terminal_gets_the_whole_picture() {
        let sent = picture(90, 60);
        let text = drawn(&sent, (20, 7), Protocol::Kitty).unwrap();
        let pieces: Vec<&str> =
            text.split("\x1b_G").skip(1).map(|piece| piece.split("\x1b\\").next().unwrap()).collect();
        assert!(pieces.len() > 1);
        assert!(pieces[0].starts_with("a=T,f=100,i=1,p=1,q=2,C=1,c=20,r=7,m=1;"), "{}", pieces[0]);
        for (index, piece) in pieces.iter().enumerate() {
            assert!(piece.contains(if index + 1 < pieces.len() { "m=1;" } else { "m=0;" }));
        }
        let file: String = pieces.iter().map(|piece| piece.split_once(';').unwrap().1).collect();
        assert_eq!(Picture::decode(&STANDARD.decode(file).unwrap(), "").unwrap(), sent);
        let text = drawn(&sent, (20, 7), Protocol::ITerm).unwrap();
        let (head, rest) = text.split_once(':').unwrap();
        assert!(
            head.contains("\x1b]1337;File=inline=1;size=") && head.contains(";width=20;height=7;"),
            "{head}"
        );
        let file = STANDARD.decode(rest.split_once('\x07').unwrap().0).unwrap();
        assert_eq!(Picture::decode(&file, "").unwrap(), sent);
        assert!(text.starts_with(&"\n".repeat(7)) && text.ends_with("\x1b8\x1b[7B\r"));
    }
}
