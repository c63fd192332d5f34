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
    /// There is no such interface.
    #[error("{interface}: no such interface; there are {}", there.join(", "))]
    NoSuchInterface {
        /// The name as given.
        interface: String,
        /// The names of those there are.
        there: Vec<String>,
    },
    /// The system does not let this user capture.
    #[error("{interface}: capturing is not permitted")]
    NotPermitted {
        /// The name as given.
        interface: String,
    },
    /// The interface could not be opened for another reason.
    #[error("{interface}: {reason}")]
    Interface {
        /// The name as given.
        interface: String,
        /// What libpcap said.
        reason: String,
    },
}
