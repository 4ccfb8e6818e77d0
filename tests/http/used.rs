//! What is on disk of a download while it is merged, and what a merge that reads a segment twice makes of that.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fault::{Site, answer};
use crate::media::{Long, files_below, playlist};
use crate::run::{Running, TEMPORARY, command, from_disk, is_clean, merge, merges_to};
use crate::sandbox::{Sandbox, fixture};

/// Segments that may be on disk: those ahead of the merge, eight for each transfer, and the few that it is at.
const BOUND: usize = 2 * 8 + 6;

#[test]
fn with_no_resume_a_few_segments_are_on_disk_at_one_time() {
    let long = Long { many: 120, bytes: 0 };
    let clean = long.clean();
    for (resume, arguments) in [(true, &["-N", "2"][..]), (false, &["-N", "2", "--no-resume"])] {
        let sandbox = Sandbox::new();
        let (temp, most) = (sandbox.temp(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let site = long.site().every(answer(move |request, files| {
            let segments = fs::read_dir(&temp).unwrap().flatten().map(|entry| entry.path().join("segments"));
            let stored = segments.filter_map(|folder| fs::read_dir(folder).ok()).flatten().count();
            seen.fetch_max(stored, Ordering::SeqCst);
            files.reply(request)
        }));
        let server = site.start();
        let outcome = merge(&sandbox, server.url("/index.m3u8"), arguments).succeeded();
        is_clean(&sandbox, &clean);
        let most = most.load(Ordering::SeqCst);
        assert_eq!(most > BOUND, resume, "up to {most} on disk: {outcome:#?}");
        assert_eq!(outcome.download("requests") as usize, long.many + 1, "each is fetched once");
    }
}

#[test]
fn where_a_merge_begins_anew_what_was_deleted_is_fetched_again() {
    // Sound comes so late that the first segments are gone when its track has to be declared from the start.
    let silent = 8;
    let segment = |n: usize| fs::read(fixture("audio-late").join(format!("index{}.ts", n.saturating_sub(silent - 1))));
    let lines: Vec<String> =
        (0..silent + 2).map(|n| format!("#EXT-X-DISCONTINUITY\n#EXTINF:1,\nseg{n:04}.ts")).collect();
    let text = playlist(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut site, folder) = (Site::new().put("/index.m3u8", text.clone()), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("index.m3u8"), text).unwrap();
    for n in 0..silent + 2 {
        fs::write(folder.path().join(Long::name(n)), segment(n).unwrap()).unwrap();
        site = site.put(&format!("/{}", Long::name(n)), segment(n).unwrap());
    }
    let clean = from_disk(&folder.path().join("index.m3u8"), &[]);
    for (arguments, times) in [(&[][..], 1), (&["--no-resume"], 2)] {
        let server = site.clone().start();
        merges_to(&clean, server.url("/index.m3u8"), arguments);
        assert_eq!(server.requests_of("/seg0000.ts").len(), times, "{arguments:?}");
    }
}

#[test]
fn with_no_resume_nothing_is_left_for_another_run() {
    let long = Long { many: 24, bytes: 0 };
    let refused = long.site().always("/seg0020.ts", crate::fault::status(503));
    let server = refused.start();
    let sandbox = Sandbox::new();
    let outcome = merge(&sandbox, server.url("/index.m3u8"), &["--no-resume", "--retries", "0"]).failed(TEMPORARY);
    assert!(!outcome.words().contains("again to go on"), "{outcome:#?}");
    assert_eq!(files_below(&sandbox.temp()), [""; 0].map(std::path::PathBuf::from));

    // One that was killed could not clean up: the next run does, and begins anew.
    let server = long.site().every(crate::fault::late(std::time::Duration::from_millis(30))).start();
    let url = server.url("/index.m3u8");
    let mut running = Running::start(&mut command(&sandbox, &url, &["--no-resume", "-N", "2"]));
    server.wait_for(12, |request| Long::is_segment(&request.path));
    running.kill();
    assert_eq!(running.wait().code, None);
    let outcome = merge(&sandbox, &url, &[]).succeeded();
    assert_eq!(outcome.download("resumed_segments"), 0);
    is_clean(&sandbox, &long.clean());
}
