//! Somebody else writes the maps: the daemon finds out, says so, and makes them what they should be.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData};
use serde_json::Value;
use ssh_guard_common::flat::{At, CELL_WORDS, Family, SLOTS, Shape, V4, V6};
use ssh_guard_common::names;
use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::programs::source_of;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::PATIENCE;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
/// Long enough for a SYN and its answer; where that takes longer, a test misses what it looks for, and does not fail.
const SHORT: Duration = Duration::from_millis(500);
const NOTHING: &str = "the kernel's maps say what they should\n";

fn map(daemon: &Daemon<'_>, name: &str) -> Map {
    let path: PathBuf = daemon.pin_path().join("v1/maps").join(name);
    Map::from_map_data(MapData::from_pin(path).unwrap()).unwrap()
}

fn resync(daemon: &Daemon<'_>) -> String {
    let answer = daemon.cli(&["resync"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    answer.stdout
}

/// What a pass says of so many places.
fn mended(missing: u32, too_many: u32, other: u32) -> String {
    let places = missing + too_many + other;
    format!(
        "the kernel's maps differed in {places} places, and are mended: {missing} entries were missing, {too_many} too \
         many, {other} others than they should be\n"
    )
}

fn drift(daemon: &Daemon<'_>) -> Value {
    daemon.json(&["status"])["blocklist"]["drift"].clone()
}

fn passes(lab: &Lab, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(lab.client(address).connect(22, PATIENCE), Connect::Open, "{address}");
    }
}

fn drops(lab: &Lab, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(lab.client(address).connect(22, SHORT), Connect::TimedOut, "{address}");
    }
}

/// A flat table as it is pinned.
struct Cells {
    array: Array<MapData, [u32; CELL_WORDS]>,
    shape: Shape,
}

impl Cells {
    fn of<F: Family>(daemon: &Daemon<'_>, name: &str) -> Self {
        let array: Array<_, [u32; CELL_WORDS]> = map(daemon, name).try_into().unwrap();
        let buckets = array.len() / F::CELLS_PER_BUCKET;
        Self { array, shape: Shape { seed: [0; 4], buckets, reserved: 0 } }
    }

    fn word(&self, At { cell, word }: At) -> u32 {
        self.array.get(&cell, 0).unwrap()[word]
    }

    fn set(&mut self, At { cell, word }: At, to: u32) {
        let mut words = self.array.get(&cell, 0).unwrap();
        words[word] = to;
        self.array.set(cell, words, 0).unwrap();
    }

    /// The slots that are taken.
    fn taken(&self) -> Vec<(u32, u32)> {
        let buckets = (0..self.shape.buckets).map(|bucket| (bucket, self.array.get(&bucket, 0).unwrap()));
        let slots = |(bucket, words): (u32, [u32; CELL_WORDS])| {
            (1..=SLOTS).filter(move |slot| words[*slot as usize] != 0).map(move |slot| (bucket, slot))
        };
        buckets.flat_map(slots).collect()
    }
}

fn tag((bucket, slot): (u32, u32)) -> At {
    At { cell: bucket, word: slot as usize }
}

#[test]
fn a_source_that_another_program_unblocks_or_blocks_or_frees_earlier_is_put_right() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log("limits.blocklist = 4096"), lab.server(), &[]);
    assert_eq!(drift(&daemon), Value::Null, "nobody has looked yet");
    // Its place in the table is seen, and it is let go: for what somebody else then writes there.
    assert_eq!(daemon.cli(&["ban", "203.0.113.9"]).code, 0);
    let mut v4 = Cells::of::<V4>(&daemon, names::BLOCKED_V4);
    let planted = v4.taken()[0];
    let (planted_tag, planted_end) = (v4.word(tag(planted)), v4.word(v4.shape.end(planted.0, planted.1)));
    assert_eq!(daemon.cli(&["unban", "203.0.113.9"]).code, 0);
    assert_eq!(v4.taken(), []);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "2001:db8:7::7"]).code, 0);
    assert_eq!(resync(&daemon), NOTHING);
    assert_eq!(drift(&daemon), 0);

    // Unblocked.
    let slot = v4.taken()[0];
    v4.set(tag(slot), 0);
    passes(&lab, &["203.0.113.7"]);
    assert_eq!(resync(&daemon), mended(1, 0, 0));
    assert_eq!(drift(&daemon), 1);
    assert!(daemon.metrics().contains("ssh_guard_blocklist_drift 1\n"));
    assert!(
        daemon.output().contains("the kernel's maps were not what this daemon wrote"),
        "{}",
        daemon.output()
    );
    drops(&lab, &["203.0.113.7"]);

    // Blocked.
    v4.set(v4.shape.end(planted.0, planted.1), planted_end);
    v4.set(tag(planted), planted_tag);
    assert_eq!(v4.taken().len(), 2);
    drops(&lab, &["203.0.113.9"]);
    assert_eq!(resync(&daemon), mended(0, 1, 0));
    passes(&lab, &["203.0.113.9"]);

    // Another end, and an entry where nobody finds it.
    let mut v6 = Cells::of::<V6>(&daemon, names::BLOCKED_V6);
    let slot = v6.taken()[0];
    v6.set(v6.shape.end(slot.0, slot.1), 1);
    let astray = ((planted.0 + 1) % v4.shape.buckets, planted.1);
    v4.set(tag(astray), planted_tag);
    passes(&lab, &["2001:db8:7::8"]);
    assert_eq!(resync(&daemon), mended(0, 1, 1));
    drops(&lab, &["2001:db8:7::8"]);

    // Beside the tables.
    let mut beside: HashMap<_, Source, Block> = map(&daemon, names::BLOCKED_BESIDE).try_into().unwrap();
    let block = Block { end: planted_end, ..Block::default() };
    for source in ["203.0.113.7", "203.0.113.9"] {
        beside.insert(source_of(source), block, 0).unwrap();
    }
    assert_eq!(beside.iter().count(), 2);
    resync(&daemon);
    assert_eq!(beside.iter().count(), 0);
    assert_eq!(resync(&daemon), NOTHING, "all is mended at once");
    drops(&lab, &["203.0.113.7"]);
    passes(&lab, &["203.0.113.9"]);
    drop(listener);
}

#[test]
fn networks_and_the_allowlist_are_put_right_as_well() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let config = "allow.sources = ['203.0.113.9', '2001:db8:7:1::9', '::/3']";
    let daemon = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    let networks = ["203.0.113.0/24", "198.51.100.0/25", "198.18.0.0/16", "2001:db8:8::/48"];
    assert_eq!(daemon.cli(&[&["ban"], &networks[..]].concat()).code, 0);
    assert_eq!(daemon.cli(&["allow", "198.51.100.9", "--for", "1h"]).code, 0);
    assert_eq!(resync(&daemon), NOTHING);

    let mut table = Cells::of::<V4>(&daemon, names::BLOCKED_NETS_24);
    let slot = table.taken()[0];
    table.set(tag(slot), 0);
    let mut v4: LpmTrie<_, [u8; 4], Block> = map(&daemon, names::BLOCKED_NETS_V4).try_into().unwrap();
    v4.remove(&Key::new(25, [198, 51, 100, 0])).unwrap();
    let forever = Block { end: u32::MAX >> 1, ..Block::default() };
    v4.insert(&Key::new(16, [198, 18, 0, 0]), forever, 0).unwrap();
    let mut v6: LpmTrie<_, [u8; 16], Block> = map(&daemon, names::BLOCKED_NETS_V6).try_into().unwrap();
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    for (prefix, planted) in [(48, "2001:db8:9::"), (47, "2001:db8:9::"), (64, "2001:db8:8:1::")] {
        v6.insert(&Key::new(prefix, address(planted)), forever, 0).unwrap();
    }
    passes(&lab, &["203.0.113.7", "198.51.100.7"]);
    drops(&lab, &["2001:db8:9::7"]);
    assert_eq!(resync(&daemon), mended(2, 3, 1));
    drops(&lab, &["203.0.113.7", "198.51.100.7", "2001:db8:8::7"]);
    passes(&lab, &["2001:db8:9::7", "203.0.113.9", "198.51.100.9"]);
    let bans = daemon.json(&["bans"]);
    assert!(bans["bans"].as_array().unwrap().iter().all(|ban| ban["in_kernel"] == true), "{bans}");

    // The bits of 203.0.113.0/24 and its neighbours: that nothing of them is banned.
    let mut states: Array<_, [u32; CELL_WORDS]> = map(&daemon, names::BLOCKED_NETS).try_into().unwrap();
    states.set((203 * 65536 + 113) / 256, [0; CELL_WORDS], 0).unwrap();
    passes(&lab, &["203.0.113.7"]);
    assert_eq!(resync(&daemon), mended(0, 0, 1));
    drops(&lab, &["203.0.113.7"]);

    // The allowlist: one lost, one that ends early, one of the parts of ::/3, and one that nobody allowed.
    let mut allowed: LpmTrie<_, [u8; 16], u32> = map(&daemon, names::ALLOWLIST).try_into().unwrap();
    let mapped = |text: &str| Key::new(128, address(&format!("::ffff:{text}")));
    allowed.remove(&mapped("203.0.113.9")).unwrap();
    allowed.insert(&mapped("198.51.100.9"), 1, 0).unwrap();
    allowed.remove(&Key::new(96, address("::fffe:0:0"))).unwrap();
    allowed.insert(&mapped("203.0.113.8"), u32::MAX, 0).unwrap();
    drops(&lab, &["203.0.113.9", "198.51.100.9"]);
    passes(&lab, &["203.0.113.8"]);
    assert_eq!(resync(&daemon), mended(3, 1, 0));
    passes(&lab, &["203.0.113.9", "198.51.100.9"]);
    drops(&lab, &["203.0.113.8"]);
    assert_eq!(resync(&daemon), NOTHING);
    drop(listener);
}

#[test]
fn what_the_daemon_does_meanwhile_is_no_drift() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let list = daemon.site().folder().join("list").display().to_string();
    let lines: Vec<String> = (0..40_000_u32)
        .map(|n| {
            if n % 4 == 0 {
                format!("10.{}.{}.0/24", n / 250 / 4, n / 4 % 250)
            } else {
                format!("11.9.{}.{}", n / 250, n % 250)
            }
        })
        .collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for round in 0..4 {
                let short = format!("{}s", round + 1);
                for args in [
                    &["ban", "--file", &list][..],
                    &["ban", "10.1.2.0/25", "10.1.2.3", "2001:db8:7::7", "203.0.113.7", "--for", &short],
                    &["allow", "10.1.0.0/20", "2001:db8:7::8", "--for", &short],
                    &["ban", "198.51.100.7", "198.51.0.0/16", "--for", "1h"],
                    &["unban", "198.51.100.7"],
                    &["unban", "--file", &list],
                ] {
                    let answer = daemon.cli(args);
                    // What is allowed still, or banned for longer, is refused, and that is no drift either.
                    assert!(answer.code <= 2, "{answer:?}");
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut passes = 0;
        while !done.load(Ordering::Relaxed) && !changing.is_finished() {
            assert_eq!(resync(&daemon), NOTHING, "{}", daemon.output());
            passes += 1;
        }
        changing.join().unwrap();
        assert!(passes > 1);
    });
    assert_eq!(resync(&daemon), NOTHING);
}

#[test]
fn what_was_taken_over_at_a_start_is_no_drift() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let list = daemon.site().folder().join("list");
    let lines: Vec<String> = (0..2000_u32).map(|n| format!("10.9.{}.{}", n / 250, n % 250)).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap()]).code, 0);
    let networks = ["203.0.0.0/16", "203.0.113.0/24", "203.0.113.7", "2001:db8:7::/48", "2001:db8:7::7"];
    for (length, network) in networks.iter().enumerate() {
        assert_eq!(daemon.cli(&["ban", network, "--for", &format!("{}m", 10 + length)]).code, 0);
    }
    for limit in ["limits.blocklist = 3000", "limits.blocklist = 100000"] {
        daemon.kill9();
        let log = daemon.site().folder().join("auth.log");
        daemon.configure(&format!(
            "{limit}\nblock.networks = ['198.51.100.0/24', '203.0.113.0/25']\nallow.sources = ['203.0.113.9']\n\
             [[input]]\nkind = 'file'\npath = '{}'\n",
            log.display()
        ));
        daemon.start_again();
        assert_eq!(resync(&daemon), NOTHING, "{}", daemon.output());
    }
}
