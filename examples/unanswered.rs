//! Prints every flow of the captures in a folder that got no answer, or whose answers ceased, with the judgement: the table of docs/unanswered.md.
//!
//! `cargo run --release --example unanswered -- FOLDER`.

use std::io::Write as _;
use std::path::Path;

#[path = "../tests/support/unanswered.rs"]
mod unanswered;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1) else {
        return std::io::stderr().write_all(b"unanswered: name a folder with captures\n");
    };
    std::io::stdout().write_all(unanswered::table(Path::new(&folder)).as_bytes())
}
