//! Runs the command on URLs, against a real server and against one that fails in every way that servers do.
//!
//! Two tests are scaled down so that all of them end within a few minutes; `AVWELD_HEAVY=1` runs them whole.
#![cfg(all(feature = "cli", unix))]

#[path = "../merge/judge.rs"]
#[expect(dead_code, reason = "shared with the tests of merging, which use more of it")]
mod judge;
#[path = "../merge/sandbox.rs"]
mod sandbox;

mod certificates;
mod fault;
mod media;
mod nginx;
mod proxy;
mod reply;
mod run;
mod server;

mod addresses;
mod connections;
mod corpus;
mod encrypted;
mod exits;
mod heavy;
mod hostile;
mod limits;
mod network;
mod places;
mod playlists;
mod proxies;
mod redirects;
mod resume;
mod retries;
mod secrets;
mod tls;
mod used;
