//! Bodies that are no media, and names that lead elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault::{Site, instead};
use crate::media::segment_of;
use crate::run::{BAD_DATA, DENIED, NOT_FOUND, TEMPORARY, UNSUPPORTED, avweld, each, quick, run};
use crate::sandbox::{AVWELD, Sandbox, names};

/// What libav would read by itself, and what leads it to other files and hosts.
const BODIES: [(&str, &str); 12] = [
    ("a media playlist", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"),
    ("a playlist behind a BOM", "\u{feff}#EXTM3U\n#EXTINF:1,\nindex0.ts\n#EXT-X-ENDLIST\n"),
    ("a multivariant playlist", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://127.0.0.1:1/index.m3u8\n"),
    ("a playlist with CRLF", "#EXTM3U\r\n#EXTINF:1,\r\nconcat:/etc/hostname|/etc/hosts\r\n"),
    ("ffconcat", "ffconcat version 1.0\nfile '/etc/hostname'\n"),
    ("ffconcat without its head", "file '/etc/hostname'\nfile 'index0.ts'\n"),
    ("ffconcat with options", "ffconcat version 1.0\nfile subfile,,start,0,end,9,,:/etc/hostname\nduration 1\n"),
    ("an MPD", "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period/></MPD>\n"),
    ("an MPD with a BaseURL", "<MPD type=\"static\"><BaseURL>file:///etc/</BaseURL><Period/></MPD>\n"),
    ("SDP", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\n"),
    ("a reference movie", "RTSPtext\r\nrtsp://127.0.0.1:1/a\r\n"),
    ("a list of pictures", "/etc/hostname\n/etc/hosts\n"),
];

#[test]
fn a_segment_that_is_a_list_of_others_is_refused() {
    let rows = BODIES.iter().flat_map(|(name, body)| {
        ["ts", "m4s", "mp4"].map(|extension| (format!("{name} as .{extension}"), (*body, extension)))
    });
    each(rows, |(body, extension)| {
        let path = format!("/evil.{extension}");
        let site = Site::fixture("ts-h264-aac").put("/index.m3u8", segment_of(&path[1..]));
        let server = site.always(&path, instead(body)).start();
        let sandbox = Sandbox::new();
        let mut strace = Command::new("strace");
        strace.args(["-ff", "-y", "-qq", "-s", "4096", "-e", "trace=execve,open,openat,openat2,creat,connect", "-o"]);
        strace.arg(sandbox.input().join("log")).arg(AVWELD);
        sandbox.arguments(&mut strace, server.url("/index.m3u8"), sandbox.output("out.mp4"));
        quick(&mut strace, &["--retries", "1"]);
        run(strace).failed(BAD_DATA).names_segment(0, &path[1..]);
        assert_eq!(sandbox.outputs(), [""; 0]);
        assert_eq!(names(&sandbox.temp()), [""; 0]);
        let asked = server.count(|request| request.path != "/index.m3u8" && request.path != path);
        assert_eq!(asked, 0, "{:#?}", server.requests());
        only_its_own(&sandbox, server.address().port());
    });
}

/// Where the program and its libraries live, what the kernel tells, and what a resolver and TLS read.
const SYSTEM: [&str; 10] = [
    "/usr/lib",
    "/lib",
    "/etc/ld.so",
    "/proc/",
    "/sys/",
    "/dev/null",
    "/dev/urandom",
    "/etc/ssl/",
    "/etc/gnutls/",
    "/usr/local/lib",
];
/// A resolver reads these, and it is only asked of names.
const RESOLVER: [&str; 5] =
    ["/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/usr/share/ca-certificates"];

/// Panics where the log of strace has a file that is foreign, or a connection to another port.
fn only_its_own(sandbox: &Sandbox, port: u16) {
    let folder = sandbox.input();
    let logs = names(&folder).into_iter().filter(|name| name.starts_with("log"));
    let log: String = logs.map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect();
    let own = [sandbox.temp(), sandbox.output("")];
    let calls: Vec<&str> =
        log.lines().filter(|line| !line.contains(" = -1 E") || line.contains("EINPROGRESS")).collect();
    assert_eq!(calls.iter().filter(|line| line.starts_with("execve")).count(), 1, "{log}");
    let foreign: Vec<&&str> = calls
        .iter()
        .filter(|line| line.starts_with("open") || line.starts_with("creat"))
        .filter(|line| !opened(line).is_some_and(|path| is_known(&path, &own)))
        .collect();
    assert!(foreign.is_empty(), "opened: {foreign:#?}");
    let connects: Vec<&&str> =
        calls.iter().filter(|line| line.starts_with("connect(") && line.contains("sin")).collect();
    assert!(!connects.is_empty(), "strace saw no connection:\n{log}");
    let elsewhere: Vec<_> = connects.iter().filter(|line| !line.contains(&format!("htons({port})"))).collect();
    assert!(elsewhere.is_empty(), "connected: {elsewhere:#?}");
}

fn opened(line: &str) -> Option<PathBuf> {
    let (before, rest) = line.split_once('"')?;
    let folder = before.split_once('<').map_or("", |(_, folder)| folder.trim_end_matches([' ', ',', '>']));
    Some(Path::new(folder).join(rest.split_once('"')?.0))
}

fn is_known(path: &Path, own: &[PathBuf]) -> bool {
    let text = path.to_string_lossy();
    own.iter().any(|folder| path.starts_with(folder))
        || SYSTEM.iter().chain(&RESOLVER).any(|prefix| text.starts_with(prefix))
}

#[test]
fn a_foreign_file_in_the_log_is_seen() {
    let line = r#"openat(AT_FDCWD</cwd>, "/etc/hostname", O_RDONLY|O_CLOEXEC) = 3</etc/hostname>"#;
    assert!(!is_known(&opened(line).unwrap(), &["/in".into()]));
}

#[test]
fn a_name_out_of_a_url_stays_in_its_folder() {
    let paths = [
        "/..%2f..%2f..%2fescaped.m3u8",
        "/%2e%2e/%2e%2e/escaped.m3u8",
        "/..%5c..%5cescaped.m3u8",
        "/%2fetc%2fescaped.m3u8",
        "/a%00b.m3u8",
        "/-o.m3u8",
        "/--overwrite.m3u8",
        "/CON.m3u8",
        "/a%1b%5b31mb.m3u8",
        "/a%0d%0ab.m3u8",
        "/%e2%80%ae4pm.m3u8",
        "/.m3u8",
        "/..m3u8",
        "/%2e%2e",
        "/a%3ab.m3u8",
        "/%2503d.m3u8",
        "/.bashrc.m3u8",
        "/~.m3u8",
        "/%ff%fe.m3u8",
        "/",
    ];
    let long = format!("/{}.m3u8", "n".repeat(300));
    each(paths.iter().copied().chain([long.as_str()]).map(|path| (path.to_owned(), path)), |path| {
        let text = fs::read(crate::sandbox::fixture("ts-h264-aac/index.m3u8")).unwrap();
        // Any path serves the playlist that is no segment of it.
        let server = Site::fixture("ts-h264-aac")
            .every(crate::fault::answer(move |request, files| match files.reply(request) {
                reply if reply.status == 404 => crate::reply::Reply::new(200, text.clone()),
                reply => reply,
            }))
            .start();
        let sandbox = Sandbox::new();
        let folder = sandbox.output("deep").join("deeper");
        fs::create_dir_all(&folder).unwrap();
        let mut command = avweld(&["merge", &server.url(path), "--temp-dir"]);
        command.arg(sandbox.temp()).current_dir(&folder);
        let outcome = run(command);
        assert_eq!(sandbox.outputs(), ["deep"], "{outcome:#?}");
        assert_eq!(names(&sandbox.output("deep")), ["deeper"], "{outcome:#?}");
        let made = names(&folder);
        match outcome.code {
            Some(0) => {
                let [name] = &made[..] else { panic!("{made:?}: {outcome:#?}") };
                assert!(name.ends_with(".mp4") && name.len() <= 200 && !name.contains(char::is_control), "{name:?}");
            }
            // Or it is refused, before anything is made.
            Some(2 | DENIED | BAD_DATA | NOT_FOUND | UNSUPPORTED | 73) => assert_eq!(made, [""; 0], "{outcome:#?}"),
            _ => panic!("{outcome:#?}"),
        }
    });
}

#[test]
fn an_address_that_is_none_is_refused() {
    let rows = ["http://", "http:///index.m3u8", "http://[::1/index.m3u8", "http://a b/index.m3u8", "https://:80/x"];
    each(rows.map(|url| (url.to_owned(), url)), |url| {
        let sandbox = Sandbox::new();
        let outcome = crate::run::merge(&sandbox, url, &["--retries", "0"]);
        assert!(matches!(outcome.code, Some(2 | NOT_FOUND | BAD_DATA | TEMPORARY | DENIED)), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
    });
}
