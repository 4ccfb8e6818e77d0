//! Runs the command on real input and judges what comes out with ffprobe and an independent MP4 parser.
#![cfg(feature = "cli")]

mod bad_input;
mod boxes;
mod broadcast;
mod corpus;
mod expected;
mod fixtures;
mod golden;
mod judge;
mod output;
mod sandbox;
mod sealed;
mod sessions;
mod subtitles;
