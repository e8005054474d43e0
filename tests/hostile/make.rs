//! Files made by hand, so that they can be anything.

use std::io::Write;

use flate2::Crc;
use flate2::write::ZlibEncoder;

/// Bytes of zeros that are deflated a thousand to one.
pub(crate) fn deflated_zeros(length: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0; 1 << 16];
    for start in (0..length).step_by(block.len()) {
        encoder.write_all(&block[..block.len().min(length - start)]).unwrap();
    }
    encoder.finish().unwrap()
}

/// A PNG without its chunks.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A chunk of a PNG.
pub(crate) fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()].concat()
}

/// What a PNG's header says.
#[derive(Clone, Copy)]
pub(crate) struct Png {
    pub(crate) size: (u32, u32),
    pub(crate) bits: u8,
    /// The code of the kind of samples: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
    pub(crate) colours: u8,
    pub(crate) interlaced: bool,
}

impl Png {
    /// The file with other chunks before its pixels, which are `deflated`.
    pub(crate) fn file(self, chunks: &[u8], deflated: &[u8]) -> Vec<u8> {
        let (width, height) = self.size;
        let kind = [self.bits, self.colours, 0, 0, self.interlaced.into()];
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind].concat();
        [PNG, &chunk(b"IHDR", &header), chunks, &chunk(b"IDAT", deflated), &chunk(b"IEND", &[])].concat()
    }

    /// The bytes of its rows, each behind the number of its filter; not of an interlaced one.
    pub(crate) fn raw_length(self) -> usize {
        let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(self.colours)];
        let row = (self.size.0 as usize * samples * usize::from(self.bits)).div_ceil(8);
        self.size.1 as usize * (row + 1)
    }
}

/// A TIFF block with one entry, the orientation, as EXIF holds it.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

/// A segment of a JPEG.
pub(crate) fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap();
    [&[0xff, marker], &length.to_be_bytes()[..], payload].concat()
}

/// A JPEG in which every code is one bit, 0, and says "nothing": grey all over. Its coded data are of the right
/// length for `coded`, whatever its frame says of its size.
pub(crate) struct Jpeg {
    pub(crate) size: (u16, u16),
    pub(crate) coded: (u16, u16),
    pub(crate) components: u8,
    /// Blocks of the first component for one of each other one, across and down.
    pub(crate) blocks: (u8, u8),
    pub(crate) progressive: bool,
}

impl Jpeg {
    pub(crate) fn whole(size: (u16, u16), components: u8, progressive: bool) -> Self {
        Self { size, coded: size, components, blocks: (1, 1), progressive }
    }

    /// The file with other segments before its frame.
    pub(crate) fn file(&self, between: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8];
        bytes.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
        bytes.extend(between);
        let (width, height) = self.size;
        let mut frame = [&[8], &height.to_be_bytes()[..], &width.to_be_bytes(), &[self.components]].concat();
        let (across, down) = self.blocks;
        frame.extend([1, across << 4 | down, 0]);
        frame.extend((2..=self.components).flat_map(|id| [id, 0x11, 0]));
        bytes.extend(segment(if self.progressive { 0xc2 } else { 0xc0 }, &frame));
        for class in [0x00, 0x10] {
            bytes.extend(segment(0xc4, &[&[class, 1], &[0; 15][..], &[0]].concat()));
        }
        let mut scan = vec![self.components];
        scan.extend((1..=self.components).flat_map(|id| [id, 0]));
        // The mean of each block in the first scan; the rest of it too where there is no other.
        scan.extend([0, if self.progressive { 0 } else { 63 }, 0]);
        bytes.extend(segment(0xda, &scan));
        let codes = if self.progressive { 1 } else { 2 };
        let units = |side: u16, blocks: u8| usize::from(side).div_ceil(8 * usize::from(blocks));
        let units = units(self.coded.0, across) * units(self.coded.1, down);
        let blocks = units * usize::from(across * down + self.components - 1);
        let length = bytes.len() + (blocks * codes).div_ceil(8);
        bytes.resize(length, 0);
        bytes.extend([0xff, 0xd9]);
        bytes
    }
}

/// A safetensors file with this header.
pub(crate) fn weights_file(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, data].concat()
}

/// The metadata that a weights file has to have.
pub(crate) const METADATA: &str = r#""__metadata__":{"mean":"123.68,116.779,103.939","scale":"0..255","channel_order":"RGB","layout":"out,in,ky,kx"}"#;

/// A whole weights file with conv1_1 as codes.
pub(crate) fn one_layer() -> Vec<u8> {
    let header = format!(
        concat!(
            r#"{{{},"conv1_1.codes":{{"dtype":"U8","shape":[64,3,3,3],"data_offsets":[0,1728]}},"#,
            r#""conv1_1.codebook":{{"dtype":"F32","shape":[256],"data_offsets":[1728,2752]}},"#,
            r#""conv1_1.bias":{{"dtype":"F16","shape":[64],"data_offsets":[2752,2880]}}}}"#
        ),
        METADATA
    );
    weights_file(header.as_bytes(), &[0x3c; 2880])
}
