//! The avweld command.
fn main() {}
