//! Whether the coded data of a JPEG are all there.
//!
//! Decoders feed themselves zeros where data end early, and paint what is missing in the last colour. So the codes are
//! counted before: every block of every scan has to be there. This also finds where a picture ends in a file without an
//! end-of-image marker.

use super::segments::{Frame, segments};

/// What is there of a picture's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All blocks, and of a progressive picture all bits; nothing of the picture is behind this place of the file.
    Whole { end: usize },
    /// All blocks of all scans of a progressive picture, but not all bits: there should be more scans.
    Coarse,
    /// Data are missing or damaged, first at this line of the picture, from the top; what of it can be seen all the same.
    Missing { line: u32, part: Option<Part> },
    /// Tables or headers are not as they should be, so that codes cannot be read.
    Unknown,
}

/// What there is of a picture of which data are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The lines above, whose data end before this place of the file.
    Lines { end: usize },
    /// Everything, less sharp: the scans before this place are whole.
    Coarse { end: usize },
}

/// Most of the frame's numbers, which are known to be in range.
struct Component {
    name: u8,
    /// Blocks of a unit.
    across: u32,
    down: u32,
    /// Blocks of the picture, and those with what fills up the last units.
    columns: u32,
    rows: u32,
    stride: u32,
    /// Of a progressive picture, which coefficients of each block are not 0 yet.
    history: Vec<u64>,
    /// How many of the lowest bits of each coefficient are missing.
    missing_bits: [u8; 64],
    is_done: bool,
}

/// What of the file's data is there. At most `scans` are looked at.
pub(super) fn extent(file: &[u8], frame: &Frame<'_>, scans: usize) -> Extent {
    let Some(mut picture) = Picture::of(frame) else { return Extent::Unknown };
    let mut tables = Tables::default();
    let mut seen = 0;
    for segment in segments(file) {
        match segment.marker {
            0xc4 if tables.read(segment.payload).is_none() => return Extent::Unknown,
            0xdd => {
                let Some(interval) = segment.payload.first_chunk() else { return Extent::Unknown };
                tables.restart_interval = u32::from(u16::from_be_bytes(*interval));
            }
            0xda if seen < scans => {
                seen += 1;
                let header = segment.payload.len() + 4;
                match picture.scan(&tables, segment.payload, &segment.bytes[header..]) {
                    Scan::Whole { length } if picture.is_done() => {
                        return Extent::Whole { end: segment.start + header + length };
                    }
                    Scan::Whole { .. } => {}
                    Scan::Missing { line, at } => {
                        let is_first = seen == 1 && !picture.has_begun();
                        let part = match is_first && line > 0 && picture.is_whole_in(segment.payload) {
                            true => Some(Part::Lines { end: segment.start + header + at }),
                            false => picture.coarse(segment.start),
                        };
                        return Extent::Missing { line, part };
                    }
                    Scan::Unknown => return Extent::Unknown,
                }
            }
            0xd9 if picture.is_progressive && picture.has_begun() => return Extent::Coarse,
            _ => {}
        }
    }
    // A component, or the last bits.
    Extent::Missing { line: 0, part: picture.coarse(file.len()) }
}

/// What is there of a scan.
enum Scan {
    /// Everything, in this many bytes.
    Whole {
        length: usize,
    },
    /// From this line on, whose data begin, as far as whole bytes tell, before this place of the scan's.
    Missing {
        line: u32,
        at: usize,
    },
    Unknown,
}

struct Picture {
    is_progressive: bool,
    components: Vec<Component>,
    /// Units across and down, and the lines of one.
    units: (u32, u32),
    lines: u32,
}

impl Picture {
    /// `None` for factors that no picture has.
    fn of(frame: &Frame<'_>) -> Option<Self> {
        let factors =
            frame.components.iter().map(|&[_, blocks, _]| (u32::from(blocks >> 4), u32::from(blocks & 15)));
        if factors.clone().any(|(across, down)| !(1..=4).contains(&across) || !(1..=4).contains(&down)) {
            return None;
        }
        let most_across = factors.clone().map(|(across, _)| across).max()?;
        let most_down = factors.clone().map(|(_, down)| down).max()?;
        let (width, height) = (u32::from(frame.width), u32::from(frame.height));
        let units = (width.div_ceil(8 * most_across), height.div_ceil(8 * most_down));
        let is_progressive = frame.is_progressive();
        let components = frame.components.iter().zip(factors).map(|(&[name, ..], (across, down))| {
            let stride = units.0 * across;
            let blocks = if is_progressive { stride as usize * (units.1 * down) as usize } else { 0 };
            Component {
                name,
                across,
                down,
                columns: (width * across).div_ceil(most_across).div_ceil(8),
                rows: (height * down).div_ceil(most_down).div_ceil(8),
                stride,
                history: vec![0; blocks],
                missing_bits: [u8::MAX; 64],
                is_done: false,
            }
        });
        Some(Self { is_progressive, components: components.collect(), units, lines: 8 * most_down })
    }

    fn is_done(&self) -> bool {
        self.components.iter().all(|component| component.is_done)
    }

    fn has_begun(&self) -> bool {
        self.components.iter().all(|component| component.missing_bits[0] != u8::MAX)
    }

    /// Whether a scan with this header has all components.
    fn is_whole_in(&self, header: &[u8]) -> bool {
        header.first().is_some_and(|count| usize::from(*count) == self.components.len())
    }

    /// What the scans before a place of the file make, where these are a picture.
    fn coarse(&self, end: usize) -> Option<Part> {
        (self.is_progressive && self.has_begun()).then_some(Part::Coarse { end })
    }

    /// Reads the codes of a scan with this header.
    fn scan(&mut self, tables: &Tables, header: &[u8], data: &[u8]) -> Scan {
        let read = self.read_header(tables, header);
        let Some((members, band)) = read else { return Scan::Unknown };
        let single = match members.as_slice() {
            [only] => Some(&self.components[only.component]),
            _ => None,
        };
        // Of one component alone, a unit is a block.
        let (columns, rows) = single.map_or(self.units, |component| (component.columns, component.rows));
        let lines_of_a_row = single.map_or(self.lines, |component| self.lines / component.down);
        let mut reader = Bits::new(data);
        let mut runs = 0;
        let mut until_restart = tables.restart_interval;
        let mut restarts = 0;
        for row in 0..rows {
            let at = reader.at;
            for column in 0..columns {
                if tables.restart_interval > 0 {
                    if until_restart == 0 {
                        if reader.restart(restarts).is_none() {
                            return Scan::Missing { line: row * lines_of_a_row, at };
                        }
                        (restarts, until_restart, runs) = ((restarts + 1) % 8, tables.restart_interval, 0);
                    }
                    until_restart -= 1;
                }
                if self.unit(&members, &band, (column, row), &mut reader, &mut runs).is_none() {
                    return Scan::Missing { line: row * lines_of_a_row, at };
                }
            }
        }
        for member in &members {
            let component = &mut self.components[member.component];
            component.missing_bits[band.first..=band.last].fill(band.low);
            component.is_done = component.missing_bits.iter().all(|missing| *missing == 0);
        }
        Scan::Whole { length: reader.at }
    }

    /// The components of a scan with their tables, and which part of their coefficients it has; `None` for what no scan has.
    fn read_header<'tables>(
        &self,
        tables: &'tables Tables,
        header: &[u8],
    ) -> Option<(Vec<Member<'tables>>, Band)> {
        let (&count, rest) = header.split_first()?;
        let (names, band) = rest.split_at_checked(2 * usize::from(count))?;
        let band = if self.is_progressive {
            let &[first, last, bits] = band.first_chunk()?;
            let is_dc = first == 0;
            if last > 63 || first > last || is_dc && last > 0 || !is_dc && count != 1 || bits & 15 > 13 {
                return None;
            }
            Band { first: first.into(), last: last.into(), high: bits >> 4, low: bits & 15 }
        } else {
            Band { first: 0, last: 63, high: 0, low: 0 }
        };
        let mut members = Vec::new();
        for &[name, numbers] in names.as_chunks().0 {
            let component = self.components.iter().position(|component| component.name == name)?;
            let needs_dc = band.first == 0 && band.high == 0;
            let needs_ac = band.last > 0;
            let dc = tables.dc.get(usize::from(numbers >> 4))?.as_ref();
            let ac = tables.ac.get(usize::from(numbers & 15))?.as_ref();
            if needs_dc && dc.is_none() || needs_ac && ac.is_none() {
                return None;
            }
            members.push(Member { component, dc, ac });
        }
        (!members.is_empty() && members.len() <= self.components.len()).then_some((members, band))
    }

    /// The blocks of a unit; `None` where they are not all there.
    fn unit(
        &mut self,
        members: &[Member<'_>],
        band: &Band,
        (column, row): (u32, u32),
        reader: &mut Bits<'_>,
        runs: &mut u32,
    ) -> Option<()> {
        let is_single = members.len() == 1;
        for member in members {
            let component = &mut self.components[member.component];
            let (across, down) = if is_single { (1, 1) } else { (component.across, component.down) };
            for y in 0..down {
                for x in 0..across {
                    if !self.is_progressive {
                        let size = member.dc?.symbol(reader)?;
                        reader.skip(size.into())?;
                        baseline_ac(member.ac?, reader)?;
                        continue;
                    }
                    let place = (row * down + y) as usize * component.stride as usize
                        + (column * across + x) as usize;
                    match (band.first, band.high) {
                        (0, 0) => {
                            let size = member.dc?.symbol(reader)?;
                            reader.skip(size.into())?;
                        }
                        (0, _) => reader.skip(1)?,
                        (_, 0) => {
                            first_ac(member.ac?, reader, band, component.history.get_mut(place)?, runs)?
                        }
                        (_, _) => more_ac(member.ac?, reader, band, component.history.get_mut(place)?, runs)?,
                    }
                }
            }
        }
        Some(())
    }
}

/// A component in a scan.
struct Member<'tables> {
    component: usize,
    dc: Option<&'tables Codes>,
    ac: Option<&'tables Codes>,
}

/// Which coefficients a scan has, in the order of the file, and how many of their lowest bits it leaves to others; `high` is 0
/// where it is the first that has them.
struct Band {
    first: usize,
    last: usize,
    high: u8,
    low: u8,
}

/// All coefficients of a block but the first.
fn baseline_ac(codes: &Codes, reader: &mut Bits<'_>) -> Option<()> {
    let mut place = 1;
    while place < 64 {
        let (run, size) = halves(codes.symbol(reader)?);
        if size == 0 {
            if run < 15 {
                break;
            }
            place += 16;
        } else {
            place += run + 1;
            reader.skip(size)?;
        }
    }
    (place <= 64).then_some(())
}

/// A block of the first scan that has a band of its coefficients. `runs` are the blocks from here on that are empty.
fn first_ac(
    codes: &Codes,
    reader: &mut Bits<'_>,
    band: &Band,
    history: &mut u64,
    runs: &mut u32,
) -> Option<()> {
    if *runs > 0 {
        *runs -= 1;
        return Some(());
    }
    let mut place = band.first;
    while place <= band.last {
        let (run, size) = halves(codes.symbol(reader)?);
        if size == 0 {
            if run < 15 {
                *runs = (1 << run) - 1 + reader.take(run as u32)?;
                break;
            }
            place += 16;
        } else {
            place += run;
            if place > band.last {
                return None;
            }
            *history |= 1 << place;
            reader.skip(size)?;
            place += 1;
        }
    }
    Some(())
}

/// A block of a scan that has one more bit of a band.
fn more_ac(
    codes: &Codes,
    reader: &mut Bits<'_>,
    band: &Band,
    history: &mut u64,
    runs: &mut u32,
) -> Option<()> {
    let mut place = band.first;
    if *runs == 0 {
        while place <= band.last {
            let (mut run, size) = halves(codes.symbol(reader)?);
            if size == 0 && run < 15 {
                *runs = (1 << run) + reader.take(run as u32)?;
                break;
            }
            if size > 0 {
                // Its sign.
                reader.skip(1)?;
            }
            // Those that are not 0 have a bit each; of the others `run` are passed over.
            while place <= band.last {
                if *history >> place & 1 == 1 {
                    reader.skip(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                place += 1;
            }
            if size > 0 {
                if place > band.last {
                    return None;
                }
                *history |= 1 << place;
            }
            place += 1;
        }
    }
    if *runs > 0 {
        let rest = (u64::MAX >> (63 - band.last)) & (u64::MAX.checked_shl(place as u32).unwrap_or(0));
        for _ in 0..(*history & rest).count_ones() {
            reader.skip(1)?;
        }
        *runs -= 1;
    }
    Some(())
}

/// How many zeros come first, and how many bits follow.
fn halves(symbol: u8) -> (usize, u32) {
    (usize::from(symbol >> 4), u32::from(symbol & 15))
}

/// Huffman tables by class and number, and the restart interval.
#[derive(Default)]
struct Tables {
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    restart_interval: u32,
}

impl Tables {
    /// Takes the tables of a segment; `None` where one is not as it should be.
    fn read(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = payload.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|count| usize::from(*count)).sum::<usize>();
            let (symbols, rest) = rest.split_at_checked(total)?;
            payload = rest;
            let tables = match number >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(number & 15))? = Some(Codes::new(counts, symbols)?);
        }
        Some(())
    }
}

/// Bits that are looked up at once.
const LOOK_UP: u32 = 9;

/// A Huffman code of JPEG.
struct Codes {
    symbols: Vec<u8>,
    /// For the next bits: the length of the code that they begin with, 0 where it is longer, and its symbol.
    short: Vec<(u8, u8)>,
    /// For each length from 1 the first code that is too large, its bits moved up to 16, and what brings a code to the place
    /// of its symbol.
    ends: [(u32, i32); 16],
}

impl Codes {
    /// `None` where there are more codes of a length than there can be.
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut short = vec![(0, 0); 1 << LOOK_UP];
        let mut ends = [(0, 0); 16];
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, count) in (1..).zip(counts) {
            ends[length as usize - 1].1 = place as i32 - code as i32;
            for _ in 0..*count {
                if code >> length != 0 {
                    return None;
                }
                if length <= LOOK_UP {
                    let from = (code << (LOOK_UP - length)) as usize;
                    short[from..from + (1 << (LOOK_UP - length))].fill((length as u8, symbols[place]));
                }
                code += 1;
                place += 1;
            }
            ends[length as usize - 1].0 = code << (16 - length);
            code <<= 1;
        }
        Some(Self { symbols: symbols.to_vec(), short, ends })
    }

    /// The next symbol; `None` where there is none, or no such code.
    fn symbol(&self, reader: &mut Bits<'_>) -> Option<u8> {
        reader.fill();
        let next = reader.peek();
        let (length, symbol) = self.short[(next >> (16 - LOOK_UP)) as usize];
        if length > 0 {
            reader.skip(length.into())?;
            return Some(symbol);
        }
        let length = self.ends.iter().position(|(end, _)| next < *end)?;
        let place = (next >> (15 - length)) as i32 + self.ends[length].1;
        reader.skip(length as u32 + 1)?;
        self.symbols.get(usize::try_from(place).ok()?).copied()
    }
}

/// The bits of a scan's data.
struct Bits<'data> {
    data: &'data [u8],
    /// Behind the bytes that were taken.
    at: usize,
    /// Bits that were taken and are not read yet, in the lowest places, and how many.
    bits: u64,
    count: u32,
}

impl<'data> Bits<'data> {
    fn new(data: &'data [u8]) -> Self {
        Self { data, at: 0, bits: 0, count: 0 }
    }

    /// Takes bytes up to the next marker, as far as there is room.
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.data.get(self.at) else { return };
            if byte == 0xff {
                match self.data.get(self.at + 1) {
                    Some(0) => self.at += 1,
                    // Fill before a marker.
                    Some(0xff) => {
                        self.at += 1;
                        continue;
                    }
                    _ => return,
                }
            }
            self.at += 1;
            self.bits = self.bits << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits, with zeros where there are none.
    fn peek(&self) -> u32 {
        let low =
            if self.count >= 16 { self.bits >> (self.count - 16) } else { self.bits << (16 - self.count) };
        low as u32 & 0xffff
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        if self.count < count {
            self.fill();
        }
        self.count = self.count.checked_sub(count)?;
        self.bits &= (1 << self.count) - 1;
        Some(())
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        self.fill();
        let value = self.peek() >> (16 - count);
        self.skip(count)?;
        Some(value)
    }

    /// Goes on behind the next marker, which has to be the restart of this number.
    fn restart(&mut self, number: u8) -> Option<()> {
        (self.bits, self.count) = (0, 0);
        loop {
            self.at += self.data.get(self.at..)?.iter().position(|&byte| byte == 0xff)?;
            match self.data.get(self.at + 1)? {
                0xff => self.at += 1,
                0 => self.at += 2,
                &marker => {
                    self.at += 2;
                    return (marker == 0xd0 + number).then_some(());
                }
            }
        }
    }
}
