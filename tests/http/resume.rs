//! What a run leaves when it is killed, and what the next one makes of it.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fault::{Site, answer, late};
use crate::media::{Long, files_below};
use crate::run::{EXISTS, Outcome, Running, command, command_to, each, is_clean, merge};
use crate::sandbox::{Sandbox, names};
use crate::server::{Request, Server};

/// Downloads in flight.
const PARALLEL: usize = 2;
const LONG: Long = Long { many: 24, bytes: 0 };

/// A segment is asked for, and not only how long it is.
fn is_segment(request: &Request) -> bool {
    Long::is_segment(&request.path) && request.header("Range") != Some("bytes=0-0")
}

/// Does something to a file.
type Spoil = fn(&PathBuf);

/// A server that takes its time.
fn slow(long: &Long) -> Site {
    long.site().every(late(Duration::from_millis(30)))
}

/// Runs a job, kills it once this many segments were sent, and gives the names of those.
fn killed(sandbox: &Sandbox, server: &Server, url: &str, after: usize) -> Vec<String> {
    let mut running = Running::start(&mut command(sandbox, url, &["-N", &PARALLEL.to_string()]));
    server.wait_for(after, is_segment);
    running.kill();
    let outcome = running.wait();
    assert_eq!(outcome.code, None, "it ended before it was killed: {outcome:#?}");
    assert!(!sandbox.output("out.mp4").exists(), "an output of a run that was killed");
    let sent = server.requests().into_iter().filter(|r| is_segment(r) && r.answered.is_some());
    sent.map(|request| request.path).collect()
}

/// The next run: it succeeds, leaves nothing behind, and fetches of `sent` only what had no time to get to disk.
fn resumed(sandbox: &Sandbox, server: &Server, url: &str, sent: &[String]) -> Outcome {
    let before = server.requests().len();
    let outcome = merge(sandbox, url, &[]).succeeded();
    is_clean(sandbox, &LONG.clean());
    let requests = server.requests();
    let again: Vec<&String> = requests[before..]
        .iter()
        .filter(|r| is_segment(r))
        .map(|r| &r.path)
        .filter(|path| sent.contains(path))
        .collect();
    assert!(again.len() <= 2 * PARALLEL, "fetched again of {}: {again:?}", sent.len());
    let fetched = requests[before..].iter().filter(|request| is_segment(request)).count();
    assert_eq!(outcome.download("resumed_segments") as usize + fetched, LONG.many, "{outcome:#?}");
    outcome
}

#[test]
fn the_run_after_a_kill_fetches_the_rest() {
    for after in [1, 7, 20] {
        let server = slow(&LONG).start();
        let sandbox = Sandbox::new();
        let url = server.url("/index.m3u8");
        let sent = killed(&sandbox, &server, &url, after);
        resumed(&sandbox, &server, &url, &sent);
    }
}

#[test]
fn several_kills_add_up() {
    let server = slow(&LONG).start();
    let sandbox = Sandbox::new();
    let url = server.url("/index.m3u8");
    let mut sent = Vec::new();
    for after in [5, 12, 19] {
        sent = killed(&sandbox, &server, &url, after);
    }
    sent.sort();
    sent.dedup();
    resumed(&sandbox, &server, &url, &sent);
}

#[test]
fn queries_may_change_between_the_runs() {
    let is_second = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_second);
    let site = slow(&LONG).always(
        "/index.m3u8",
        answer(move |request, files| {
            let token = if seen.load(Ordering::SeqCst) { "?token=new&expires=2" } else { "?token=old" };
            crate::fault::instead(LONG.playlist(token))(request, files)
        }),
    );
    let server = site.start();
    let sandbox = Sandbox::new();
    let sent = killed(&sandbox, &server, &server.url("/index.m3u8?session=1"), 12);
    is_second.store(true, Ordering::SeqCst);
    resumed(&sandbox, &server, &server.url("/index.m3u8?session=2"), &sent);
}

/// Files in the folder for workspaces, the journal and what is large enough to be media.
fn kept(sandbox: &Sandbox) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let is_journal = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().contains("journal");
    let (journals, others): (Vec<_>, Vec<_>) = files_below(&sandbox.temp()).into_iter().partition(is_journal);
    (journals, others.into_iter().filter(|path| path.metadata().unwrap().len() > 1000).collect())
}

#[test]
fn a_torn_journal_is_read_up_to_the_tear() {
    let tears: [(&str, Spoil); 5] = [
        ("half of the last entry", |path| shorten(path, 9)),
        ("one byte of the last entry", |path| shorten(path, 1)),
        ("rubbish behind it", |path| append(path, b"\xff\xfe{\"seg")),
        ("a page of zeros behind it", |path| append(path, &[0; 4096])),
        ("nothing left", |path| fs::write(path, "").unwrap()),
    ];
    each(tears.map(|(name, tear)| (name.to_owned(), tear)), |tear| {
        let server = slow(&LONG).start();
        let sandbox = Sandbox::new();
        let url = server.url("/index.m3u8");
        killed(&sandbox, &server, &url, 12);
        let (journals, others) = kept(&sandbox);
        assert!(!journals.is_empty(), "no journal in {others:?}");
        journals.iter().for_each(tear);
        merge(&sandbox, &url, &[]).succeeded();
        is_clean(&sandbox, &LONG.clean());
    });
}

fn shorten(path: &PathBuf, by: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len().saturating_sub(by)).unwrap();
}

fn append(path: &PathBuf, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn what_was_kept_and_spoiled_is_fetched_again() {
    let spoils: [(&str, Spoil); 4] = [
        ("a byte changed", |path| {
            let mut file = OpenOptions::new().write(true).open(path).unwrap();
            let middle = file.metadata().unwrap().len() / 2;
            file.seek(SeekFrom::Start(middle)).unwrap();
            file.write_all(b"\x5a\xa5\x5a\xa5").unwrap();
        }),
        ("cut", |path| shorten(path, 500)),
        ("longer", |path| append(path, &[0x47; 188])),
        ("gone", |path| fs::remove_file(path).unwrap()),
    ];
    each(spoils.map(|(name, spoil)| (name.to_owned(), (name, spoil))), |(name, spoil)| {
        let server = slow(&LONG).start();
        let sandbox = Sandbox::new();
        let url = server.url("/index.m3u8");
        killed(&sandbox, &server, &url, 12);
        let (_, others) = kept(&sandbox);
        assert!(!others.is_empty(), "nothing was kept");
        others.iter().for_each(spoil);
        let before = server.count(is_segment);
        merge(&sandbox, &url, &[]).succeeded();
        is_clean(&sandbox, &LONG.clean());
        let fetched = server.count(is_segment) - before;
        println!("{name}: {} files spoiled, {fetched} of {} segments fetched", others.len(), LONG.many);
        assert!(name == "longer" || fetched > LONG.many - 12, "only {fetched} segments were fetched");
    });
}

#[test]
fn a_kept_segment_that_the_playlist_no_longer_means_is_not_taken() {
    // Same names, other media: the server's new version says so by its length.
    let is_second = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_second);
    let other = Long { many: LONG.many, bytes: 0 };
    let text = other.playlist("").replace("seg", "new/seg");
    let mut site = slow(&LONG).always(
        "/index.m3u8",
        answer(move |request, files| match seen.load(Ordering::SeqCst) {
            true => crate::fault::instead(text.clone())(request, files),
            false => files.reply(request),
        }),
    );
    for n in 0..LONG.many {
        site = site.put(&format!("/new/{}", Long::name(n)), crate::media::plain(n));
    }
    let server = site.start();
    let sandbox = Sandbox::new();
    let url = server.url("/index.m3u8");
    killed(&sandbox, &server, &url, 12);
    is_second.store(true, Ordering::SeqCst);
    merge(&sandbox, &url, &[]).succeeded();
    assert_eq!(server.count(|request| request.path.starts_with("/new/seg")), LONG.many, "by path they are others");
}

/// A site of one path for all segments, which the query tells apart, in two variants.
fn by_query() -> Site {
    let text = |variant: usize| {
        let lines = LONG.playlist("");
        (0..LONG.many).fold(lines, |text, n| text.replace(&Long::name(n), &format!("seg.ts?v={variant}&n={n}")))
    };
    let variant = "#EXT-X-STREAM-INF:BANDWIDTH=1000";
    let main = crate::media::multivariant(&[variant, "v0.m3u8", &format!("{variant}0"), "v1.m3u8"]);
    Site::new().put("/main.m3u8", main).put("/v0.m3u8", text(0)).put("/v1.m3u8", text(1)).always(
        "/seg.ts",
        answer(|request, _| {
            let query = request.query.clone().unwrap();
            let number = |name: &str| -> usize {
                query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().parse().unwrap()
            };
            // The second variant's segments are the first one's in another order.
            let segment = crate::media::plain(number("n=") + number("v="));
            crate::reply::Reply::new(200, segment).delay(Duration::from_millis(30))
        }),
    )
}

#[test]
fn segments_that_only_their_queries_tell_apart_are_not_mixed_up() {
    let server = by_query().start();
    let clean = |variant: &str| {
        let sandbox = Sandbox::new();
        merge(&sandbox, server.url("/main.m3u8"), &["--variant", variant]).succeeded();
        fs::read(sandbox.output("out.mp4")).unwrap()
    };
    let cleans = [clean("0"), clean("1")];
    assert!(cleans[0] == LONG.clean());
    assert!(cleans[0] != cleans[1]);
    let rows = ["0", "1"].into_iter().flat_map(|first| ["0", "1"].map(|second| (first, second)));
    each(rows.map(|row| (format!("{} and then {}", row.0, row.1), row)), |(first, second)| {
        let sandbox = Sandbox::new();
        let before = server.count(is_segment);
        let arguments = ["--variant", first, "-N", "2"];
        let mut running = Running::start(&mut command(&sandbox, server.url("/main.m3u8"), &arguments));
        server.wait_for(before + 12, is_segment);
        running.kill();
        assert_eq!(running.wait().code, None);
        merge(&sandbox, server.url("/main.m3u8"), &["--variant", second]).succeeded();
        let merged = fs::read(sandbox.output("out.mp4")).unwrap();
        assert!(merged == cleans[second.parse::<usize>().unwrap()], "it is not the clean run's");
    });
}

#[test]
fn two_runs_of_one_job_do_not_meet() {
    let clean = LONG.clean();
    for _ in 0..3 {
        let server = slow(&LONG).start();
        let sandbox = Sandbox::new();
        let url = server.url("/index.m3u8");
        let runs = ["one.mp4", "two.mp4"].map(|name| Running::start(&mut command_to(&sandbox, &url, name, &[])));
        for run in runs {
            run.wait().succeeded();
        }
        assert_eq!(sandbox.outputs(), ["one.mp4", "two.mp4"]);
        for name in ["one.mp4", "two.mp4"] {
            assert!(fs::read(sandbox.output(name)).unwrap() == clean, "{name}");
        }
        assert_eq!(names(&sandbox.temp()), [""; 0]);
    }
}

#[test]
fn of_two_runs_to_one_output_one_wins_and_the_other_says_so() {
    let clean = LONG.clean();
    for _ in 0..3 {
        let server = slow(&LONG).start();
        let sandbox = Sandbox::new();
        let url = server.url("/index.m3u8");
        let runs = [(), ()].map(|()| Running::start(&mut command(&sandbox, &url, &[])));
        let outcomes = runs.map(Running::wait);
        let won = outcomes.iter().filter(|outcome| outcome.code == Some(0)).count();
        let lost = outcomes.iter().filter(|outcome| outcome.code == Some(EXISTS)).count();
        assert_eq!((won, lost), (1, 1), "{outcomes:#?}");
        is_clean(&sandbox, &clean);
    }
}

#[test]
fn a_run_beside_one_that_is_under_way_leaves_its_workspace_alone() {
    let server = slow(&LONG).start();
    let sandbox = Sandbox::new();
    let url = server.url("/index.m3u8");
    let first = Running::start(&mut command_to(&sandbox, &url, "one.mp4", &["-N", "1"]));
    server.wait_for(6, is_segment);
    merge(&sandbox, &url, &["-N", "8"]).succeeded();
    first.wait().succeeded();
    assert_eq!(sandbox.outputs(), ["one.mp4", "out.mp4"]);
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn a_killed_runs_workspace_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let server = slow(&LONG).start();
    let sandbox = Sandbox::new();
    killed(&sandbox, &server, &server.url("/index.m3u8"), 3);
    for name in names(&sandbox.temp()) {
        let mode = fs::metadata(sandbox.temp().join(&name)).unwrap().permissions().mode() & 0o777;
        assert!(mode & 0o077 == 0, "{name}: {mode:o}");
    }
}
