//! Exports from a server that does what it should.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use bocage_bulk::{BulkError, Level};
use bocage_net::certificates::Authority;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::env::Clock as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Write as _;

use crate::hospital::{Hospital, file, status};
use crate::site::Site;

#[tokio::test]
async fn an_export_is_asked_for_fetched_counted_and_dropped_at_the_server() {
    let hospital = Hospital::sound();
    let site = Site::new(&hospital);
    let export = site.export().await.unwrap();
    site.is_whole();
    let about = &export.about;
    assert_eq!((about.resources["Patient"], about.resources["Device"], about.files), (700, 20, 3));
    assert_eq!(about.bytes, (0..3).map(|n| file(n).len() as u64).sum::<u64>());
    assert_eq!((about.transaction_time.as_deref(), &export.kept_at_server), (Some("2026-01-31T00:00:00Z"), &None));
    let wanted = [
        "GET /fhir/$export",
        "GET /jobs/link-secret",
        "GET /files/0",
        "GET /files/1",
        "GET /files/2",
        "DELETE /jobs/link-secret",
    ];
    assert_eq!(hospital.asked(), wanted);
    let seen = hospital.seen();
    assert_eq!((seen[0].header("accept"), seen[0].header("prefer")), ("application/fhir+json", "respond-async"));
    assert_eq!((seen[1].header("accept"), seen[2].header("accept-encoding")), ("application/json", "gzip"));
    let mode = |path: &std::path::Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!((mode(&site.server.folder), mode(&site.server.folder.join("Patient.00001.ndjson"))), (0o700, 0o600));
}

#[tokio::test]
async fn level_types_and_since_are_asked_for_as_the_standard_spells_them() {
    let hospital = Hospital::sound();
    let mut site = Site::new(&hospital);
    site.server.level = Level::Group("g.1".to_owned());
    site.server.types = vec!["Patient".parse().unwrap(), "Device".parse().unwrap()];
    site.server.since = Some("2026-01-31T00:00:00+01:00".parse().unwrap());
    site.export().await.unwrap();
    site.server.level = Level::Patient;
    site.export().await.unwrap();
    let query =
        "?_outputFormat=application%2Ffhir%2Bndjson&_type=Patient%2CDevice&_since=2026-01-31T00%3A00%3A00%2B01%3A00";
    let asked: Vec<_> =
        hospital.seen().into_iter().map(|seen| seen.path).filter(|path| path.contains("export")).collect();
    assert_eq!(asked, [format!("/fhir/Group/g.1/$export{query}"), format!("/fhir/Patient/$export{query}")]);
}

#[tokio::test]
async fn a_new_export_replaces_the_whole_of_the_one_before() {
    let hospital = Hospital::with(|seen, hospital| {
        let less = hospital.manifest().replace(
            &format!(",{{\"type\":\"Device\",\"url\":\"{}/files/2?link-secret\",\"count\":20}}", hospital.address),
            "",
        );
        (seen.is("GET /jobs") && seen.before > 0).then(|| status(200).body(less))
    });
    let site = Site::new(&hospital);
    site.export().await.unwrap();
    site.is_whole();
    site.export().await.unwrap();
    assert_eq!(site.listing(), ["Patient.00001.ndjson", "Patient.00002.ndjson", "about"]);
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_deleted_and_what_failed_is_counted_and_lies_apart() {
    let hospital = Hospital::with(|seen, hospital| {
        let text = format!(
            "{{\"requiresAccessToken\":false,\"output\":[],\"deleted\":[{{\"type\":\"Bundle\",\"url\":\"{0}/d\",\"count\":2}}],\
             \"error\":[{{\"type\":\"OperationOutcome\",\"url\":\"{0}/e\"}}]}}",
            hospital.address
        );
        match seen.path.as_str() {
            "/jobs/link-secret" if seen.method == "GET" => Some(status(200).body(text)),
            "/d" => Some(status(200).body("{}\n{}\n")),
            "/e" => Some(status(200).body("{}")),
            _ => None,
        }
    });
    let site = Site::new(&hospital);
    let about = site.export().await.unwrap().about;
    assert_eq!((about.deleted, about.errors, about.resources.len()), (2, 1, 0));
    assert_eq!(site.listing(), ["about"]);
    assert!(site.path("records/about/deleted/Bundle.00001.ndjson").exists());
    assert!(site.path("records/about/error/OperationOutcome.00001.ndjson").exists());
}

#[tokio::test]
async fn files_that_come_as_gzip_stay_gzip() {
    for says_so in [true, false] {
        let hospital = Hospital::with(move |seen, _| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(file(0).as_bytes()).unwrap();
            let reply = status(200).body(gzip.finish().unwrap());
            seen.is("GET /files/0").then(|| if says_so { reply.header("Content-Encoding", "gzip") } else { reply })
        });
        let site = Site::new(&hospital);
        assert_eq!(site.export().await.unwrap().about.resources["Patient"], 700);
        assert_eq!(site.listing()[1..3], ["Patient.00001.ndjson.gz", "Patient.00002.ndjson"]);
    }
}

#[tokio::test]
async fn a_folder_that_is_no_export_is_never_replaced() {
    let hospital = Hospital::sound();
    let site = Site::new(&hospital);
    std::fs::create_dir(&site.server.folder).unwrap();
    std::fs::write(site.path("records/thesis.tex"), "years of work").unwrap();
    let error = site.fails().await;
    assert!(error.contains("records: is there already and is no earlier export\nhint: name a folder"), "{error}");
    std::fs::remove_file(site.path("records/thesis.tex")).unwrap();
    site.export().await.unwrap();
    std::fs::rename(site.path("records"), site.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(site.path("elsewhere"), site.path("records")).unwrap();
    assert!(site.fails().await.contains("is no earlier export"));
    assert_eq!(hospital.times("GET /fhir/$export"), 1);
}

#[tokio::test]
async fn a_server_is_believed_only_where_the_configured_authority_vouches_for_it() {
    let now = SystemClock.now();
    let root = Authority::new_root(&"heart".parse().unwrap(), now, &mut SystemEntropy).unwrap();
    let issuing = root.issue_intermediate(&"heart".parse().unwrap(), now, &mut SystemEntropy).unwrap();
    let issued = issuing.issue_coordinator(&["localhost".to_owned()], now, 1, &mut SystemEntropy).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let hospital = Hospital::with_tls(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let mut site = Site::new(&hospital);
    let error = site.fails().await;
    assert!(error.contains("$export of https://localhost") && error.contains("UnknownIssuer"), "{error}");
    assert_eq!(hospital.asked(), Vec::<String>::new());
    assert_eq!(site.timer.waits.lock().unwrap().len(), 0, "it would be the same in a minute");
    site.server.ca_file = Some(site.path("ca.pem"));
    assert!(matches!(site.export().await, Err(BulkError::Ca { .. })));
    std::fs::write(site.path("ca.pem"), root.certificate_pem()).unwrap();
    site.export().await.unwrap();
    site.is_whole();
}
