//! `bocage node datasets` over a real folder: snapshots are taken, kept, shown and dropped, and the hospital's own file stays as it is.

use std::process::Output;

use bocage_tests::lab::Lab;

const SITE: &str = "cleveland";

struct Node(Lab);

impl Node {
    fn new() -> Self {
        let lab = Lab::new(env!("CARGO_BIN_EXE_bocage-lab"));
        let config = lab.site(SITE).join("node.toml");
        let text = std::fs::read_to_string(&config).expect("node.toml");
        std::fs::write(&config, format!("{text}\n[snapshots]\nkeep = 1\n")).expect("node.toml");
        Self(lab)
    }

    fn datasets(&self, args: &[&str]) -> Output {
        let config = self.0.site(SITE).join("node.toml");
        let config = config.to_str().expect("UTF-8");
        self.0.run(&[&["node", "datasets"], args, &["--config", config]].concat())
    }

    fn source(&self) -> std::path::PathBuf {
        self.0.site(SITE).join("data/heart.csv")
    }

    /// A snapshot of the source with one more row.
    fn refresh(&self) {
        let text = std::fs::read_to_string(self.source()).expect("the data");
        let first = text.lines().next().expect("a row").to_owned();
        std::fs::write(self.source(), format!("{text}{first}\n")).expect("the data");
        let taken = self.datasets(&["refresh", "heart"]);
        assert!(taken.status.success(), "{}", said(&taken));
    }
}

#[test]
fn a_snapshot_can_be_taken_before_the_first_start_and_from_any_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::new();
    let site = node.0.site(SITE);
    assert!(!site.join("state").exists(), "the node has started already");
    let exe = env!("CARGO_BIN_EXE_bocage-lab");
    let within = |folder: &std::path::Path, args: &[&str]| {
        std::process::Command::new(exe).args(args).current_dir(folder).output().expect("the command")
    };
    let taken = within(&site, &["node", "datasets", "refresh", "heart"]);
    assert!(taken.status.success(), "{}", said(&taken));
    let mode = std::fs::metadata(site.join("state")).expect("the state").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let above = site.parent().expect("a folder above");
    for (folder, config) in [(above, "cleveland/node.toml"), (site.as_path(), "../cleveland/node.toml")] {
        let listed = within(folder, &["node", "datasets", "--config", config]);
        assert!(printed(&listed).contains("snapshot of"), "{config}: {}", printed(&listed));
    }
}

#[test]
fn a_refresh_under_settings_that_the_running_node_has_not_read_says_that_it_must_be_restarted() {
    let node = Node::new();
    let running = node.0.node(SITE, &[]);
    running.wait_for_line(&["the snapshot is in use"]);
    let same = node.datasets(&["refresh", "heart"]);
    assert!(same.status.success() && !said(&same).contains("other settings"), "{}", said(&same));
    let config = node.0.site(SITE).join("node.toml");
    let text = std::fs::read_to_string(&config).expect("node.toml");
    std::fs::write(&config, text.replace("data/heart.csv", "data/../data/heart.csv")).expect("node.toml");
    for _ in 0..2 {
        let other = said(&node.datasets(&["refresh", "heart"]));
        assert!(other.contains("warning: the running node has other settings of heart"), "{other}");
        assert!(other.contains("hint: restart the node"), "{other}");
    }
    drop(running);
}

#[test]
fn a_refresh_that_leaves_many_rows_out_warns() {
    let node = Node::new();
    let mut bytes = std::fs::read(node.source()).expect("the data");
    for _ in 0..40 {
        bytes.extend_from_slice(b"\xff\xfe,1\n");
    }
    std::fs::write(node.source(), bytes).expect("the data");
    let taken = node.datasets(&["refresh", "heart"]);
    assert!(taken.status.success());
    assert!(said(&taken).starts_with("warning: 40 of 343 rows of heart were left out: 40 "), "{}", said(&taken));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn snapshots_are_kept_shown_and_dropped_and_the_source_stays() {
    let node = Node::new();
    for _ in 0..3 {
        node.refresh();
    }
    // A node that takes the last one into use removes what need not stay.
    let running = node.0.node(SITE, &[]);
    running.wait_for_line(&["removed old snapshots"]);
    drop(running);
    let shown = printed(&node.datasets(&["show", "heart"]));
    let kept: Vec<&str> = shown.lines().filter(|line| line.starts_with("kept ")).collect();
    assert_eq!(kept.len(), 2, "{shown}");
    assert!(kept[0].ends_with("306 rows, 1 MiB, in use"), "{shown}");
    assert!(kept[1].ends_with("305 rows, 1 MiB"), "{shown}");

    let source = std::fs::read(node.source()).expect("the data");
    let asked = node.datasets(&["drop", "heart"]);
    assert_eq!(asked.status.code(), Some(1));
    let wanted = "error: this removes 2 snapshots of heart (2 MiB)\n  hint: say it again with --yes; the source's own files stay as they are\n";
    assert_eq!(said(&asked), wanted);
    assert!(node.datasets(&["show", "heart"]).status.success(), "nothing was removed yet");

    let dropped = node.datasets(&["drop", "heart", "--yes"]);
    assert_eq!(printed(&dropped), "removed 2 snapshots of heart (2 MiB); the source's own files are as they were\n");
    assert_eq!(std::fs::read(node.source()).expect("the data"), source);
    assert!(printed(&node.datasets(&["list"])).contains("no snapshot: dataset `heart` has no snapshot"));
    assert_eq!(node.datasets(&["show", "heart"]).status.code(), Some(1));

    let never = node.datasets(&["drop", "hart", "--yes"]);
    assert_eq!(
        (never.status.code(), said(&never).lines().next()),
        (Some(1), Some("error: dataset hart has no snapshot"))
    );
    let outside = node.datasets(&["drop", "../data", "--yes"]);
    assert_eq!(outside.status.code(), Some(1));
    assert_eq!(std::fs::read(node.source()).expect("the data"), source);
}
