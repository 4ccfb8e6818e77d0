//! Many faults and many kills. With `AVWELD_HEAVY=1` there are 20 runs and 300 kills, else a few of each.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::fault::{Answer, Site, answer, page};
use crate::media::Long;
use crate::reply::End;
use crate::run::{Running, command, is_clean, merge};
use crate::sandbox::{Sandbox, names};
use crate::server::Request;

fn is_heavy() -> bool {
    std::env::var_os("AVWELD_HEAVY").is_some_and(|value| value == "1")
}

/// Three requests in ten fail: reset, cut, refused for now, or stalled.
fn unreliable(seed: u64) -> Answer {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    answer(move |request: &Request, files| {
        let reply = files.reply(request);
        let mut random = random.lock().unwrap();
        if random.u8(..100) >= 30 {
            return reply;
        }
        let at = random.usize(..reply.len().max(1));
        match random.u8(..20) {
            0..7 => reply.end(End::Reset(at)),
            7..14 => reply.end(End::Cut(at)),
            14..19 => page(503),
            _ => reply.end(End::Stall(at)),
        }
    })
}

#[test]
fn a_thousand_segments_with_thirty_percent_of_faults_come_to_the_clean_bytes() {
    let runs: u64 = if is_heavy() { 20 } else { 2 };
    let long = Long { many: 1000, bytes: 0 };
    let clean = long.clean();
    let site = long.site();
    for seed in 0..runs {
        let server = Site { every: Some(unreliable(seed)), ..site.clone() }.start();
        let sandbox = Sandbox::new();
        let arguments = ["--retries", "12", "--retry-delay", "0.01", "--read-timeout", "1"];
        let outcome = merge(&sandbox, server.url("/index.m3u8"), &arguments).succeeded();
        is_clean(&sandbox, &clean);
        let (requests, faults) = (server.requests().len(), server.count(|request| request.answered.is_none()));
        println!("run {seed}: {requests} requests, {faults} broken off, {:?}", outcome.took);
        assert!(faults > 150, "only {faults} faults");
    }
}

#[test]
fn a_kill_at_any_moment_leaves_no_output_or_a_whole_one() {
    let kills: u64 = if is_heavy() { 300 } else { 20 };
    let long = Long { many: 30, bytes: 0 };
    let clean = long.clean();
    let site = long.site().every(crate::fault::late(Duration::from_millis(60)));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut before, mut during, mut done) = (0, 0, 0);
    for kill in 0..kills {
        let server = site.clone().start();
        let url = server.url("/index.m3u8");
        let sandbox = Sandbox::new();
        let mut running = Running::start(&mut command(&sandbox, &url, &["-N", "4"]));
        thread::sleep(Duration::from_millis(random.u64(100..1100)));
        running.kill();
        let code = running.wait().code;
        let output = std::fs::read(sandbox.output("out.mp4"));
        match &output {
            Ok(output) => assert!(*output == clean, "kill {kill}: an output of {} bytes", output.len()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "kill {kill}"),
        }
        let sent: Vec<String> =
            server.requests().into_iter().filter(|r| r.answered.is_some()).map(|r| r.path).collect();
        match (code, sent.len()) {
            (Some(_), _) => done += 1,
            (None, 0..=1) => before += 1,
            _ => during += 1,
        }
        let begun = server.requests().len();
        let arguments: &[&str] = if output.is_ok() { &["-y"] } else { &[] };
        merge(&sandbox, &url, arguments).succeeded();
        // Killed after it made its folder and before it marked it, a run leaves an empty one, which may be anybody's.
        for name in names(&sandbox.temp()) {
            std::fs::remove_dir(sandbox.temp().join(name)).expect("what is left is empty");
        }
        is_clean(&sandbox, &clean);
        let again =
            server.requests()[begun..].iter().filter(|r| Long::is_segment(&r.path) && sent.contains(&r.path)).count();
        // What was sent may still have been on its way to the disk. An output that was there was made anew.
        assert!(output.is_ok() || again <= 8, "kill {kill}: {again} of {} segments were fetched again", sent.len());
    }
    println!("{kills} kills: {before} before the first segment, {during} during the job, {done} after its end");
    assert!(during > 0, "no kill came in the middle of a job");
}
