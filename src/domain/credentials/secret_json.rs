//! Serializes documents that contain secrets, without leaving copies of them in freed memory.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

/// The JSON of a document, in memory that is zeroed on drop.
///
/// # Errors
/// If the document cannot be represented in JSON.
pub fn to_json(document: &impl Serialize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    // A buffer that grows leaves copies behind.
    let mut json = Zeroizing::new(Vec::with_capacity(JsonDigest::of(document)?.length));
    serde_json::to_writer(&mut *json, document)?;
    Ok(json)
}

/// Identifies the JSON of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonDigest {
    length: usize,
    hash: u64,
}

impl JsonDigest {
    /// The digest of a document, which is not kept in memory.
    ///
    /// # Errors
    /// If the document cannot be represented in JSON.
    pub fn of(document: &impl Serialize) -> serde_json::Result<Self> {
        let mut measure = Measure::default();
        serde_json::to_writer(&mut measure, document)?;
        Ok(Self { length: measure.length, hash: measure.hasher.finish() })
    }
}

/// Counts and hashes what is written.
#[derive(Default)]
struct Measure {
    length: usize,
    hasher: DefaultHasher,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len();
        self.hasher.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
