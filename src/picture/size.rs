//! How large a picture is to be.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, OptionName, Result};

/// Width and height of a picture or of a plane of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Extent {
    /// An extent of `width` columns and `height` rows.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Width and height.
    pub const fn sides(self) -> (u32, u32) {
        (self.width, self.height)
    }
}

/// How large a picture is to be: never larger than it is, and always with its own aspect. Of what is made without another
/// picture it is the size itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The longer side becomes the smaller of its own and this many pixels.
    LongerSide(u32),
    /// The picture fits inside this box.
    Within {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

impl Size {
    /// Width and height of what has no size of its own: the box, or a square.
    pub fn sides(self) -> (u32, u32) {
        match self {
            Self::LongerSide(side) => (side.max(1), side.max(1)),
            Self::Within { width, height } => (width.max(1), height.max(1)),
        }
    }

    /// The size that a picture of `width` × `height` takes: the side that binds becomes its bound or stays as
    /// it is, the other rounds to nearest, and is at least 1.
    pub fn fit(self, width: u32, height: u32) -> (u32, u32) {
        self.fit_at_most(width, height, (width.max(1), height.max(1)))
    }

    /// The same for a picture that may become larger than it is: the side that binds becomes its bound.
    pub fn fill(self, width: u32, height: u32) -> (u32, u32) {
        self.fit_at_most(width, height, (u32::MAX, u32::MAX))
    }

    fn fit_at_most(self, width: u32, height: u32, most: (u32, u32)) -> (u32, u32) {
        let (own_width, own_height) = (u64::from(width.max(1)), u64::from(height.max(1)));
        let (max_width, max_height) = self.sides();
        let (max_width, max_height) = (u64::from(max_width), u64::from(max_height));
        // Which bound is the nearer one: max_width / own_width or max_height / own_height?
        let (fitted_width, fitted_height) = if max_width * own_height <= max_height * own_width {
            let fitted = u64::from(most.0).min(max_width);
            (fitted, scaled(own_height, fitted, own_width))
        } else {
            let fitted = u64::from(most.1).min(max_height);
            (scaled(own_width, fitted, own_height), fitted)
        };
        // Neither is larger than its own side or its bound, which were u32.
        (fitted_width as u32, fitted_height as u32)
    }
}

/// `side · new / old`, to the nearest, a half upwards, at least 1.
fn scaled(side: u64, new: u64, old: u64) -> u64 {
    ((side * new + old / 2) / old).max(1)
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongerSide(side) => write!(formatter, "{side}"),
            Self::Within { width, height } => write!(formatter, "{width}x{height}"),
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    /// `400` is the longer side, `640x480` a box.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |reason: String| Error::Option {
            option: OptionName::Size,
            reason,
            remedy: "give the longer side in pixels, such as 400, or a box, such as 640x480".into(),
        };
        let side = |digits: &str| {
            // `parse` would take a sign.
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(fail(format!("`{text}` is not a size")));
            }
            match digits.parse::<u32>() {
                Ok(0) => Err(fail(format!("`{text}` has no pixel"))),
                Ok(side) => Ok(side),
                Err(_) => Err(fail(format!("`{text}` is too large"))),
            }
        };
        match text.split_once(['x', 'X']) {
            Some((width, height)) => Ok(Self::Within { width: side(width)?, height: side(height)? }),
            None => Ok(Self::LongerSide(side(text)?)),
        }
    }
}

/// As text, such as `640x480`.
impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From such a text, or from a number, which is the longer side.
impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Size;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of pixels, or a text such as 640x480")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(|error: Error| E::custom(error.reason()))
            }

            fn visit_u64<E: serde::de::Error>(self, side: u64) -> Result<Size, E> {
                self.visit_str(&side.to_string())
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, size) in
            [("400", Size::LongerSide(400)), ("640x480", Size::Within { width: 640, height: 480 })]
        {
            assert_eq!(text.parse::<Size>().unwrap(), size);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("7X9".parse::<Size>().unwrap(), Size::Within { width: 7, height: 9 });
        for text in [
            "",
            "0",
            "0x5",
            "5x0",
            "x",
            "5x",
            "x5",
            "1x2x3",
            "-4",
            "+4",
            "4.5",
            "4 x 5",
            "99999999999",
            "big",
        ] {
            let Err(Error::Option { option, reason, .. }) = text.parse::<Size>() else { panic!("{text}") };
            assert_eq!(option, OptionName::Size);
            assert!(reason.contains(&format!("`{text}`")));
        }
    }

    #[test]
    fn sizes_fit() {
        let longer = Size::LongerSide;
        let within = |width, height| Size::Within { width, height };
        for (size, own, fitted) in [
            (longer(400), (640, 480), (400, 300)),
            (longer(400), (480, 640), (300, 400)),
            (longer(400), (400, 300), (400, 300)),
            // Never larger.
            (longer(400), (97, 75), (97, 75)),
            // 400·333/1000 = 133.2; 400·334/999 = 133.73; 3·2/4 = 1.5.
            (longer(400), (1000, 333), (400, 133)),
            (longer(400), (999, 334), (400, 134)),
            (longer(2), (4, 3), (2, 2)),
            // At least one pixel.
            (longer(100), (10_000, 3), (100, 1)),
            (longer(0), (10, 10), (1, 1)),
            (within(640, 480), (1000, 1000), (480, 480)),
            (within(640, 480), (2000, 500), (640, 160)),
            (within(640, 480), (500, 2000), (120, 480)),
            (within(640, 480), (1280, 960), (640, 480)),
            (within(640, 480), (640, 300), (640, 300)),
            (within(640, 480), (100, 480), (100, 480)),
            (within(640, 480), (10, 10), (10, 10)),
            (within(1, 1), (3, 2), (1, 1)),
            (longer(u32::MAX), (u32::MAX, 1), (u32::MAX, 1)),
            (longer(u32::MAX - 1), (u32::MAX, u32::MAX), (u32::MAX - 1, u32::MAX - 1)),
        ] {
            assert_eq!(size.fit(own.0, own.1), fitted, "{size} of {own:?}");
        }
        for (size, own, filled) in [
            (longer(400), (640, 480), (400, 300)),
            (longer(400), (97, 75), (400, 309)),
            (within(640, 480), (10, 10), (480, 480)),
            (within(640, 480), (64, 3), (640, 30)),
            (longer(u32::MAX), (2, 3), (2_863_311_530, u32::MAX)),
        ] {
            assert_eq!(size.fill(own.0, own.1), filled, "{size} of {own:?}");
        }
    }

    #[test]
    fn a_fitted_size_is_never_larger_than_the_box_or_the_picture() {
        for width in 1..40 {
            for height in 1..40 {
                let (fitted_width, fitted_height) = Size::Within { width: 17, height: 11 }.fit(width, height);
                assert!(fitted_width <= width.min(17) && fitted_height <= height.min(11));
                assert!(fitted_width == width.min(17) || fitted_height == height.min(11));
            }
        }
    }
}
