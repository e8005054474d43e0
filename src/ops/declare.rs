//! How an op declares its kernels.

/// Declares the kernels of an op, once each, in a module `kernels`: a static under the kernel's own name, and all of
/// them in the list `ALL`. The folder of `wgsl/` comes first, then kernels with files, then variants of these:
///
/// ```text
/// kernels! {
///     folder: "op";
///     op_forward(OpParams) { workgroup: 64, bindings: [read x, write y], tile: [BLOCK = 32] }
///     op_forward_subgroup(OpParams) { workgroup: 32, subgroup: (8, 8), bindings: [read x, write y] }
///     [variants]
///     op_forward_half of op_forward { edits: [STORED_IN_HALF] }
/// }
/// ```
///
/// `tile` names the constants of the text that Rust reads; those of a variant are its file's, unless it states its own.
macro_rules! kernels {
    (
        folder: $folder:literal;
        $(
            $(#[$meta:meta])*
            $name:ident($params:ty) {
                workgroup: $workgroup:expr,
                $(subgroup: $subgroup:expr,)?
                bindings: [$($access:ident $binding:ident),* $(,)?]
                $(, tile: [$($constant:ident = $value:expr),* $(,)?])? $(,)?
            }
        )*
        $(
            [variants]
            $(
                $(#[$variant_meta:meta])*
                $variant:ident of $base:ident {
                    edits: $edits:expr
                    $(, tile: [$($variant_constant:ident = $variant_value:expr),* $(,)?])? $(,)?
                }
            )*
        )?
    ) => {
        // A static has the name of its kernel, which is also that of the file.
        #[allow(non_upper_case_globals)]
        pub(crate) mod kernels {
            use super::*;
            use $crate::gpu::{Binding, Kernel, Params};

            $(
                $(#[$meta])*
                pub(crate) static $name: Kernel = Kernel {
                    name: stringify!($name),
                    file: concat!($folder, "/", stringify!($name), ".wgsl"),
                    source: include_str!(concat!(
                        env!("CARGO_MANIFEST_DIR"), "/wgsl/", $folder, "/", stringify!($name), ".wgsl"
                    )),
                    edits: &[],
                    params: <$params as Params>::FIELDS,
                    bindings: &[$(Binding::$access(stringify!($binding))),*],
                    workgroup: $workgroup,
                    tile: &[$($((stringify!($constant), $value)),*)?],
                    subgroup: $crate::ops::declare::optional!($($subgroup)?),
                };
            )*
            $($(
                $(#[$variant_meta])*
                pub(crate) static $variant: Kernel = Kernel {
                    name: stringify!($variant),
                    edits: $edits,
                    $(tile: &[$((stringify!($variant_constant), $variant_value)),*],)?
                    ..$base
                };
            )*)?

            /// All that are declared here.
            pub(crate) const ALL: &[&Kernel] = &[$(&$name,)* $($(&$variant),*)?];
        }
    };
}
pub(crate) use kernels;

/// An expression that may be missing.
macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}
pub(crate) use optional;
