//! The segments of a JPEG, and what its frame says.

/// The longest side that a unit of the picture has in pixels: 4 blocks of 8.
pub(super) const LARGEST_UNIT: u32 = 32;

pub(super) const START: [u8; 2] = [0xff, 0xd8];
pub(super) const END: [u8; 2] = [0xff, 0xd9];

/// A marker with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'file> {
    /// Where its bytes begin in the file.
    pub(super) start: usize,
    pub(super) marker: u8,
    /// What the length after the marker counts, without the length itself.
    pub(super) payload: &'file [u8],
    /// All of it, from 0xff on; of a start of scan with the coded data that follow it.
    pub(super) bytes: &'file [u8],
}

impl<'file> Segment<'file> {
    /// Whether the decoder needs it: frame, tables, restart interval and scans. What says how colours are stored is
    /// given to it apart.
    pub(super) fn is_of_the_picture(&self) -> bool {
        match self.marker {
            0xc0..=0xcf | 0xda | 0xdb | 0xdd => true,
            // Frames of Motion JPEG leave out the standard tables.
            0xe0 => self.payload.starts_with(b"AVI1\0"),
            _ => false,
        }
    }

    /// A part of a colour profile, with its number from 1 and how many there are.
    pub(super) fn profile_part(&self) -> Option<(u8, u8, &'file [u8])> {
        let part = self.payload.strip_prefix(b"ICC_PROFILE\0").filter(|_| self.marker == 0xe2)?;
        let (&[number, parts], bytes) = part.split_first_chunk()?;
        Some((number, parts, bytes))
    }

    /// How Adobe's segment says that colours are stored: 0 as they are, 1 as YCbCr, 2 as YCCK.
    pub(super) fn adobe_transform(&self) -> Option<u8> {
        (self.marker == 0xee && self.payload.starts_with(b"Adobe")).then_some(self.payload.get(11).copied()?)
    }
}

/// The segments of a file up to its end-of-image marker, which is the last one given; without it where the
/// file is cut short. Stray bytes between them are passed over: some cameras leave them.
pub(super) fn segments(file: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = file;
    std::iter::from_fn(move || {
        loop {
            let offset = file.len() - rest.len();
            let stray = rest.iter().position(|&byte| byte == 0xff)?;
            // A marker may be preceded by any number of 0xff.
            let fill = rest[stray..].iter().take_while(|&&byte| byte == 0xff).count();
            let start = stray + fill - 1;
            let (&marker, after) = rest[start + 1..].split_first()?;
            if marker == END[1] {
                let bytes = &rest[start..start + 2];
                rest = &rest[rest.len()..];
                return Some(Segment { start: offset + start, marker, payload: &[], bytes });
            }
            let length = after.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
            // A stuffed zero, a temporary code, a restart and a start have no length, and none is below its own.
            if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) || length < 2 {
                rest = after;
                continue;
            }
            let payload = after.get(2..length)?;
            let mut end = start + 2 + length;
            if marker == 0xda {
                end += coded_length(&rest[end..]);
            }
            let bytes = &rest[start..end];
            rest = &rest[end..];
            return Some(Segment { start: offset + start, marker, payload, bytes });
        }
    })
}

/// How many bytes the coded data take: up to the first marker that is not a restart.
fn coded_length(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(place) = data[at..].iter().position(|&byte| byte == 0xff) {
        at += place;
        match data.get(at + 1) {
            Some(0x00 | 0xd0..=0xd7) => at += 2,
            Some(0xff) => at += 1,
            Some(_) => return at,
            None => break,
        }
    }
    data.len()
}

/// What the start of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'file> {
    pub(super) marker: u8,
    /// Bits of a sample.
    pub(super) bits: u8,
    pub(super) width: u16,
    pub(super) height: u16,
    /// Name, blocks of a unit across and down in four bits each, and quantisation table.
    pub(super) components: &'file [[u8; 3]],
}

impl<'file> Frame<'file> {
    pub(super) fn of(segment: &Segment<'file>) -> Option<Self> {
        let (&[bits, h0, h1, w0, w1, components], rest) = segment.payload.split_first_chunk()?;
        let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
        let components = rest.as_chunks().0.get(..usize::from(components))?;
        Some(Self { marker: segment.marker, bits, width, height, components })
    }

    /// Whether its codes are arithmetic: 9 of the kinds of frames and above, but for those of tables.
    pub(super) fn is_arithmetic(&self) -> bool {
        self.marker >= 0xc9
    }

    pub(super) fn is_progressive(&self) -> bool {
        self.marker == 0xc2
    }

    pub(super) fn is_named_rgb(&self) -> bool {
        self.components.iter().map(|&[name, ..]| name).eq(*b"RGB")
    }

    /// The 16-bit coefficients that the decoder keeps of the whole picture, if it is complete only with the last
    /// scan.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        if !self.is_progressive() {
            return 0;
        }
        let padded = |side: u16| u64::from(side).next_multiple_of(LARGEST_UNIT.into());
        padded(self.width) * padded(self.height) * 2 * self.components.len() as u64
    }

    /// The samples of all components, each of a byte.
    pub(super) fn sample_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * self.components.len() as u64
    }

    /// What the other decoder holds of a picture: coefficients and samples of all components, and lines.
    pub(super) fn plane_bytes(&self) -> u64 {
        let padded = |side: u16| u64::from(side).next_multiple_of(LARGEST_UNIT.into());
        padded(self.width) * padded(self.height) * (2 + 1) * self.components.len() as u64
    }
}
