//! The kernel type: a WGSL file and the facts about it that Rust states once.

use std::borrow::Cow;

/// Workgroups along x before a dispatch folds into y: a power of two below the 65535 that every device has.
pub const FOLD: u32 = 32768;

/// How a kernel uses a storage binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// One storage binding: its WGSL name and access. Binding numbers count from
/// [`Kernel::FIRST_STORAGE_BINDING`] in the order of [`Kernel::bindings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name in the WGSL file.
    pub name: &'static str,
    /// Its access.
    pub access: Access,
}

impl Binding {
    /// A `read` binding.
    pub const fn read(name: &'static str) -> Self {
        Self { name, access: Access::Read }
    }

    /// A `read_write` binding.
    pub const fn write(name: &'static str) -> Self {
        Self { name, access: Access::ReadWrite }
    }
}

/// The uniform block of a kernel: 32-bit fields without padding, in WGSL's order.
pub trait Params: bytemuck::Pod {
    /// Field names in order; field `i` lies at byte `4 * i`.
    const FIELDS: &'static [&'static str];
}

/// Declares a kernel's uniform block once; the kernel test compares it with the WGSL struct.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
        impl $crate::gpu::Params for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
}
pub(crate) use params;

/// A change that makes a variant of a kernel out of a WGSL file's text. Only for what WGSL itself cannot vary: types of
/// operands in half precision, and constants that size an array, which an `override` may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What stands in the file, once.
    pub from: &'static str,
    /// What stands in its place in the variant.
    pub to: &'static str,
    /// Why the variant differs.
    pub why: &'static str,
}

/// A compute kernel: one WGSL file with entry point `main`, or a variant of one in which a few lines differ.
///
/// Group 0 holds, in this order, the uniform `slice` (the range of workgroups to run, with a dynamic
/// offset), the uniform `params`, and the storage bindings.
#[derive(Debug)]
pub struct Kernel {
    /// The file's stem; a variant's name adds how it differs. Bench rows and debug labels use this name.
    pub name: &'static str,
    /// The file's path in `wgsl/`: the folder is that of the op, `conv/conv_gemm_tile.wgsl`.
    pub file: &'static str,
    /// The text of the WGSL file.
    pub source: &'static str,
    /// How a variant differs from the file.
    pub edits: &'static [Edit],
    /// Field names of the `Params` block, in order.
    pub params: &'static [&'static str],
    /// Storage bindings in binding order.
    pub bindings: &'static [Binding],
    /// Threads of a workgroup, handed over as the override `WORKGROUP`.
    pub workgroup: u32,
    /// WGSL constants that the number of workgroups follows from, such as the sides of a register tile.
    pub tile: &'static [(&'static str, u32)],
    /// Subgroup sizes for which the kernel is right, as (smallest, largest); `None`: it uses no subgroups.
    pub subgroup: Option<(u32, u32)>,
}

impl Kernel {
    /// Binding number of the first storage binding.
    pub const FIRST_STORAGE_BINDING: u32 = 2;

    /// The op whose kernel this is: the folder of its file, and a file or folder of `src/ops`.
    pub fn op(&self) -> &'static str {
        self.file.split_once('/').map_or(self.file, |(op, _)| op)
    }

    /// The WGSL text that is compiled: the file's, with the lines of a variant.
    pub fn text(&self) -> Cow<'static, str> {
        let edited = |text: Cow<'static, str>, edit: &Edit| Cow::Owned(text.replacen(edit.from, edit.to, 1));
        self.edits.iter().fold(Cow::Borrowed(self.source), edited)
    }

    /// The value of a [`Kernel::tile`] constant.
    ///
    /// # Panics
    /// Where the kernel has no such constant: a misspelling, which every use of the kernel would show.
    pub fn tile(&self, name: &str) -> u32 {
        let found = self.tile.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).unwrap_or_else(|| panic!("{} has no tile constant {name}", self.name))
    }

    /// Values of the WGSL `override` constants.
    pub fn constants(&self) -> [(&'static str, f64); 2] {
        [("WORKGROUP", f64::from(self.workgroup)), ("FOLD", f64::from(FOLD))]
    }

    /// Bytes of the uniform block, rounded up to the 16 that uniform buffers are read in.
    pub fn params_bytes(&self) -> u64 {
        (4 * self.params.len() as u64).next_multiple_of(16).max(16)
    }
}
