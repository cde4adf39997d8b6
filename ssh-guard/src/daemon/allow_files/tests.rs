use std::os::unix::fs::symlink;

use super::*;

struct Scene {
    folder: tempfile::TempDir,
    files: AllowFiles,
}

impl Scene {
    /// A list that has been read, and a source beside it.
    fn new(listed: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("partners.txt");
        fs::write(&path, listed).unwrap();
        let networks = list::read(&path).unwrap();
        let sources = vec!["198.51.100.0/24".parse().unwrap()];
        let files = AllowFiles::new(AllowSettings { sources, files: vec![(path, networks)] });
        let mut scene = Self { folder, files };
        assert_eq!(scene.settle(), Reallowed::default());
        scene
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("partners.txt")
    }

    /// Looks until every file rests.
    fn settle(&mut self) -> Reallowed {
        loop {
            let Looked { change, unsettled } = self.files.look();
            if !unsettled {
                return change;
            }
            assert_eq!(change, Reallowed::default(), "what does not rest is not read");
        }
    }

    fn allows(&self, network: &str) -> bool {
        self.files.allowed().contains(&of(network))
    }
}

fn of(network: &str) -> Network {
    network.parse::<IpNet>().unwrap().into()
}

#[test]
fn what_is_new_in_a_file_and_what_is_gone_is_told_once() {
    let mut scene = Scene::new("203.0.113.7\n203.0.113.8\n");
    fs::write(scene.path(), "203.0.113.8\n203.0.113.9\n198.51.100.0/24\n").unwrap();
    let told = Reallowed { new: vec![of("203.0.113.9/32")], gone: vec![of("203.0.113.7/32")] };
    assert_eq!(scene.settle(), told);
    assert_eq!(scene.settle(), Reallowed::default());
    // What stands in the configuration itself stays.
    fs::write(scene.path(), "203.0.113.8\n203.0.113.9\n").unwrap();
    assert_eq!(scene.settle(), Reallowed::default());
    assert!(scene.allows("198.51.100.0/24"));
}

#[test]
fn a_file_that_still_changes_is_not_read() {
    let mut scene = Scene::new("203.0.113.7\n");
    for length in 1..5 {
        fs::write(scene.path(), "203.0.113.99\n".repeat(length)).unwrap();
        let looked = scene.files.look();
        assert!(looked.unsettled && looked.change == Reallowed::default());
    }
    assert_eq!(scene.settle().new, [of("203.0.113.99/32")]);
}

#[test]
fn a_file_that_is_renamed_over_or_that_a_link_leads_to_counts() {
    let mut scene = Scene::new("203.0.113.7\n");
    let beside = scene.folder.path().join("new");
    fs::write(&beside, "203.0.113.8\n").unwrap();
    fs::rename(&beside, scene.path()).unwrap();
    assert_eq!(scene.settle().new, [of("203.0.113.8/32")]);
    // As Kubernetes does: the path leads through a link to a folder, and that link is swapped.
    for (folder, content) in [("..1", "203.0.113.9\n"), ("..2", "203.0.113.10\n")] {
        let folder = scene.folder.path().join(folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("partners.txt"), content).unwrap();
        let (link, swapped) = (scene.folder.path().join("..data"), scene.folder.path().join("..data_tmp"));
        symlink(&folder, &swapped).unwrap();
        fs::rename(&swapped, &link).unwrap();
        if !scene.path().is_symlink() {
            fs::remove_file(scene.path()).unwrap();
            symlink("..data/partners.txt", scene.path()).unwrap();
        }
        assert_eq!(scene.settle().new, [of(&format!("{}/32", content.trim()))]);
    }
}

#[test]
fn a_file_that_is_empty_or_gone_or_wrong_changes_nothing() {
    let mut scene = Scene::new("203.0.113.7\n");
    for wrong in ["", "# nobody\n", "203.0.113.8\nrubbish\n"] {
        fs::write(scene.path(), wrong).unwrap();
        assert_eq!(scene.settle(), Reallowed::default(), "{wrong}");
    }
    fs::remove_file(scene.path()).unwrap();
    assert_eq!(scene.settle(), Reallowed::default());
    assert!(scene.allows("203.0.113.7/32"));
    fs::write(scene.path(), "203.0.113.8\n").unwrap();
    let told = Reallowed { new: vec![of("203.0.113.8/32")], gone: vec![of("203.0.113.7/32")] };
    assert_eq!(scene.settle(), told);
}

#[test]
fn a_file_that_makes_the_allowlist_too_long_changes_nothing() {
    let mut scene = Scene::new("203.0.113.7\n");
    let of_length = |length: usize| {
        let line = |number: usize| format!("10.{}.{}.1", number / 256, number % 256);
        (0..length).map(line).collect::<Vec<_>>().join("\n")
    };
    // There is one in the configuration itself.
    fs::write(scene.path(), of_length(list::MAX_NETWORKS)).unwrap();
    assert_eq!(scene.settle(), Reallowed::default());
    fs::write(scene.path(), of_length(list::MAX_NETWORKS - 1)).unwrap();
    assert_eq!(scene.settle().new.len(), list::MAX_NETWORKS - 1);
}

#[tokio::test]
async fn the_guard_is_told_of_a_change_when_it_happens() {
    let scene = Scene::new("203.0.113.7\n");
    let (path, files) = (scene.path(), scene.files);
    let (guard, mut commands) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let following = tokio::spawn(files.run(guard, stop.clone()));
    fs::write(path, "203.0.113.8\n").unwrap();
    let Some(Command::Reallow { change }) = commands.recv().await else { panic!("it is told") };
    assert_eq!(change.new, [of("203.0.113.8/32")]);
    stop.cancel();
    following.await.unwrap();
}
