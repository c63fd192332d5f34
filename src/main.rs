//! The `dpiscope` command.

fn main() {}
