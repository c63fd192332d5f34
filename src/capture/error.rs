use std::io;

use thiserror::Error;

/// Why a source could not be read at all. Damage inside a file is no error: see [`CaptureFile::warnings`](super::CaptureFile::warnings).
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file could not be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The path as given.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not a capture.
    #[error(
        "{path}: not a capture (starts with {starts}); dpiscope reads pcap and pcapng, also inside gzip, zstd, lz4 or xz"
    )]
    NotACapture {
        /// The path as given.
        path: String,
        /// The first bytes, in hexadecimal.
        starts: String,
    },
    /// The file holds nothing.
    #[error(
        "{path}: empty file, not a capture; check that the capturing program ran and was allowed to write"
    )]
    Empty {
        /// The path as given.
        path: String,
    },
    /// The capture filter does not compile.
    #[error("capture filter '{filter}': {reason}; see pcap-filter(7)")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What libpcap said.
        reason: String,
    },
}
