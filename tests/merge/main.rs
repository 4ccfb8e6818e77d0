//! Runs the command on real input and judges what comes out with ffprobe and an independent MP4 parser.
#![cfg(feature = "cli")]

mod bad_input;
mod boxes;
mod broadcast;
mod codecs;
mod corpus;
mod drift;
mod expected;
mod fixtures;
mod frames;
mod golden;
mod judge;
mod left_out;
mod mutants;
mod oddities;
mod output;
mod peers;
mod pictures;
mod range;
mod sandbox;
mod sealed;
mod sessions;
mod source;
mod subtitles;
mod verify;
