//! What a file is, by its content.

use std::borrow::Cow;

use super::contents::Contents;
use super::fault::Fault;
use super::{keras, matlab, safetensors, torch};
use crate::tensors;

/// What else a file may be, by how it begins, with what to do.
const OTHERS: [(&[u8], &str, &str); 16] = [
    (b"MATLAB 7.3", "a MATLAB file of version 7.3", "save it again with -v7"),
    (b"\x93NUMPY", "a NumPy array", SAVE),
    (b"GGUF", "a GGUF model", SAVE),
    (b"\x1f\x8b", "a gzip file", "unpack it first"),
    (b"BZh", "a bzip2 file", "unpack it first"),
    (b"\xfd7zXZ", "an xz file", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself",
        "fetch the file with git lfs pull",
    ),
    (b"<!DOCTYPE", "a web page", DOWNLOAD),
    (b"<!doctype", "a web page", DOWNLOAD),
    (b"<html", "a web page", DOWNLOAD),
    (b"<HTML", "a web page", DOWNLOAD),
    (b"<?xml", "an XML text", DOWNLOAD),
    (b"\x89PNG", "a picture", SAVE),
    (b"\xff\xd8\xff", "a picture", SAVE),
    (b"\x0a\x14VGG_ILSVRC", "a Caffe model", SAVE),
];
const SAVE: &str = "use the network's weights as safetensors, .pth, .mat or .h5";
const DOWNLOAD: &str = "the download went wrong: fetch it again";

/// Python's pickles, by their protocol.
const PICKLES: [&[u8]; 4] = [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"];

/// Takes what is needed out of a file. With its digest where its bytes are not kept.
pub(super) fn read(bytes: Cow<'static, [u8]>) -> Result<(Contents, Option<String>), Fault> {
    // First, as the length that it begins with could look like any of the others.
    if safetensors::is_likely(&bytes) {
        return Ok((safetensors::read(bytes)?, None));
    }
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    if let Some((_, found, remedy)) = OTHERS.iter().find(|(magic, ..)| begins(magic)) {
        return Err(Fault::new("format", "a file of weights", *found, *remedy));
    }
    let contents = if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") {
        torch::read_zip(&bytes)?
    } else if torch::is_legacy(&bytes) {
        torch::read_legacy(&bytes)?
    } else if matlab::is_little_endian(&bytes).is_some() {
        matlab::read(&bytes)?
    } else if begins(keras::MAGIC) {
        let digest = tensors::digest([&*bytes]);
        return Ok((keras::read(bytes)?, Some(digest)));
    } else if PICKLES.into_iter().any(begins) {
        let found = "a pickle of Python's that torch.save did not write";
        return Err(Fault::new("format", "a file of weights", found, SAVE));
    } else {
        // What is wrong with it as a file of ours.
        return Ok((safetensors::read(bytes)?, None));
    };
    Ok((contents, Some(tensors::digest([&*bytes]))))
}
