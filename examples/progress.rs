//! Follows a merge by its events, and gives it up after a time limit.
//!
//! `cargo run --example progress -- index.m3u8 out.mp4 30`

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use avweld::{CancelToken, ErrorKind, Event, Job, Observer};

/// Prints a line for each event.
struct Lines;

impl Observer for Lines {
    // On the thread of the job: it waits until this returns.
    fn on_event(&self, event: &Event) {
        match event {
            Event::Started { segments, duration_s: Some(seconds), .. } => {
                println!("{segments} segments, {seconds:.1} s of media");
            }
            Event::Started { segments, .. } => println!("{segments} segments"),
            Event::Progress { segments, segments_total, media_s, .. } => {
                println!("{segments} of {segments_total} segments, {media_s:.1} s");
            }
            Event::Warning { message, .. } => println!("warning: {message}"),
            Event::Verifying { .. } => println!("verifying"),
            Event::Published { output, size_bytes, .. } => println!("{}: {size_bytes} bytes", output.display()),
            // More events may come with a later version.
            _ => {}
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [input, output, limit] = &arguments[..] else { bail!("usage: progress INPUT OUTPUT SECONDS") };
    let limit = limit.to_str().and_then(|text| text.parse().ok()).context("SECONDS is a whole number")?;
    let limit = Duration::from_secs(limit);

    let token = CancelToken::new();
    let job = Job::new(Path::new(input), output).observer(Lines).cancel_token(token.clone());
    // `run` blocks, so something else has to look at the clock: any thread that has a clone of the token will do.
    let (done, is_done) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                token.cancel();
            }
        });
        let result = job.run();
        drop(done);
        result
    });
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            bail!("not done within {} s; the output is as it was before", limit.as_secs())
        }
        Err(error) => Err(error.into()),
    }
}
