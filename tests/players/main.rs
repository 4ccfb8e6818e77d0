//! What players make of the outputs: mkvmerge, whose demuxer has nothing to do with libav, and Chromium's `<video>`.
#![cfg(all(feature = "cli", unix))]

#[path = "../http/certificates.rs"]
mod certificates;
#[path = "../merge/judge.rs"]
#[expect(dead_code, reason = "shared with the tests of merging, which use more of it")]
mod judge;
#[path = "../http/nginx.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP, which use more of it")]
mod nginx;
#[path = "../merge/sandbox.rs"]
#[expect(dead_code, reason = "shared with the tests of merging, which use more of it")]
mod sandbox;

mod chromium;
mod mkvmerge;
mod outputs;
