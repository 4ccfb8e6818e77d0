//! Certificates by the openssl command: an authority of the test's own, and what it vouches for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the files of a folder stand.
pub(crate) struct Certificates {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// Certificate and key of 127.0.0.1 and localhost.
    pub(crate) valid: (PathBuf, PathBuf),
    /// The same, but it was valid in 2020.
    pub(crate) expired: (PathBuf, PathBuf),
    /// Valid, but of another host.
    pub(crate) foreign: (PathBuf, PathBuf),
}

const CONFIGURATION: &str = "\
[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
rand_serial = yes
certificate = authority.pem
private_key = authority.key
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
[loopback]
subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:media.example
extendedKeyUsage = serverAuth
[elsewhere]
subjectAltName = DNS:elsewhere.example
extendedKeyUsage = serverAuth
";

/// Makes them in a folder.
pub(crate) fn make(folder: &Path) -> Certificates {
    fs::write(folder.join("index.txt"), "").unwrap();
    fs::write(folder.join("openssl.cnf"), CONFIGURATION).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout authority.key -out authority.pem -days 2 -subj /CN=avweld-test"));
    let sign = |name: &str, extensions: &str, from: &str, to: &str| {
        openssl(folder, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let dates = format!("-startdate {from}0101000000Z -enddate {to}0101000000Z");
        let extensions = format!("-config openssl.cnf -extensions {extensions}");
        openssl(folder, &format!("ca -batch -notext {extensions} {dates} -in {name}.csr -out {name}.pem"));
        (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")))
    };
    Certificates {
        valid: sign("valid", "loopback", "2024", "2049"),
        expired: sign("expired", "loopback", "2019", "2020"),
        foreign: sign("foreign", "elsewhere", "2024", "2049"),
        authority: folder.join("authority.pem"),
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl runs; `make deps` installs it");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
