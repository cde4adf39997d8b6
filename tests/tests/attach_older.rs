//! Attaching on kernels that lack this or that, and beside what somebody else has in traffic control.

use std::time::Duration;

use ssh_guard::config::settings::Mode;
use ssh_guard_tests::bare::{BANNED, Bare, interface};
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::PATIENCE;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);

/// Adds somebody else's filter, which matches nothing: a program of one instruction, `ret #0`.
fn add_filter(lab: &Lab, place: &[&str]) {
    let add = ["filter", "add", "dev", "eth0", "ingress"];
    let said = lab.server().said_by("tc", &[&add, place, &["bpf", "bytecode", "1,6 0 0 0,"]].concat());
    assert_eq!(said, "");
}

fn assert_guarded(lab: &Lab, what: &str) {
    assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut, "{what}: who is banned");
    assert_eq!(lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open, "{what}: who is not");
}

#[test]
fn filters_stay_without_a_daemon_are_taken_over_and_let_go_with_their_queueing_discipline() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let site = Bare::new();
    let mut first = site.start(false, true);
    let attached = first.attach(&lab, Mode::Tc);
    assert_eq!((attached.mode, attached.replaced), (Mode::Tc, false));
    assert_guarded(&lab, "by a filter");
    drop(first);
    assert_guarded(&lab, "without a daemon");
    let mut second = site.start(false, true);
    assert!(second.attach(&lab, Mode::Tc).replaced);
    assert_guarded(&lab, "taken over");
    // A kernel that has links then.
    drop(second);
    let mut third = site.start(true, true);
    assert!(!third.attach(&lab, Mode::Tc).replaced);
    assert_guarded(&lab, "by a link");
    drop(third);
    let mut fourth = site.start(false, true);
    fourth.attach(&lab, Mode::Tc);
    let index = lab.server().within(|| interface("eth0").index);
    assert!(lab.server().within(|| fourth.hooks.pins().detach(index)).unwrap());
    assert_eq!(lab.client(BANNED).connect(22, PATIENCE), Connect::Open);
    assert!(!lab.server().within(|| fourth.hooks.pins().detach(index)).unwrap(), "there is nothing left");
    let left = lab.server().said_by("tc", &["qdisc", "show", "dev", "eth0"]);
    assert!(!left.contains("clsact"), "{left}");
    drop(listener);
}

#[test]
fn somebody_elses_filters_and_queueing_discipline_stay() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("tc"));
    let lab = Lab::new();
    let listener = lab.listen();
    assert_eq!(lab.server().said_by("tc", &["qdisc", "add", "dev", "eth0", "clsact"]), "");
    add_filter(&lab, &["pref", "7"]);
    let show = || lab.server().said_by("tc", &["filter", "show", "dev", "eth0", "ingress"]);
    let before = show();
    assert!(before.contains("pref 7 bpf"), "{before}");
    let site = Bare::new();
    let mut running = site.start(false, true);
    running.attach(&lab, Mode::Tc);
    assert!(show().contains("pref 22 bpf"), "{}", show());
    assert_guarded(&lab, "beside another filter");
    let index = lab.server().within(|| interface("eth0").index);
    assert!(lab.server().within(|| running.hooks.pins().detach(index)).unwrap());
    assert_eq!(show(), before);
    assert!(lab.server().said_by("tc", &["qdisc", "show", "dev", "eth0"]).contains("clsact"));
    drop(listener);
}

#[test]
fn where_somebody_has_the_queueing_discipline_ingress_packets_are_judged_and_there_is_no_witness() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("tc"));
    let lab = Lab::new();
    let listener = lab.listen();
    assert_eq!(lab.server().said_by("tc", &["qdisc", "add", "dev", "eth0", "ingress"]), "");
    let site = Bare::new();
    let mut running = site.start(false, true);
    let (refused, seen) = lab.server().within(|| {
        let eth0 = interface("eth0");
        assert_eq!(running.hooks.attach(&eth0, Mode::Tc).unwrap().unwrap().mode, Mode::Tc);
        let refused = running.hooks.attach_witness(&eth0).unwrap_err();
        (refused, running.hooks.look(&eth0))
    });
    assert!(refused.told().contains("'ingress' is in the place of 'clsact'"), "{}", refused.report());
    assert_eq!((seen.mode, seen.witness), (Some(Mode::Tc), false));
    assert_guarded(&lab, "without a witness");
    let index = lab.server().within(|| interface("eth0").index);
    assert!(lab.server().within(|| running.hooks.pins().detach(index)).unwrap());
    let left = lab.server().said_by("tc", &["qdisc", "show", "dev", "eth0"]);
    assert!(left.contains("ingress"), "{left}");
    drop(listener);
}

#[test]
fn a_filter_of_somebody_else_in_our_place_is_told_and_stays() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("tc"));
    let lab = Lab::new();
    assert_eq!(lab.server().said_by("tc", &["qdisc", "add", "dev", "eth0", "clsact"]), "");
    add_filter(&lab, &["pref", "22", "handle", "0x22"]);
    let show = || lab.server().said_by("tc", &["filter", "show", "dev", "eth0", "ingress"]);
    let before = show();
    assert!(before.contains("pref 22 bpf"), "{before}");
    let site = Bare::new();
    let mut running = site.start(false, true);
    let refused = lab.server().within(|| running.hooks.attach(&interface("eth0"), Mode::Tc)).unwrap_err();
    let told = "cannot attach to eth0: a filter of somebody else has preference 22 and handle 0x22";
    assert_eq!(refused.told(), told);
    assert_eq!(show(), before);
}

#[test]
fn an_interface_with_large_packets_is_guarded_in_mode_tc_where_xdp_has_one_buffer() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    for namespace in [lab.server(), lab.client_namespace(0)] {
        namespace.ip("link set eth0 mtu 9000");
    }
    let listener = lab.listen();
    let site = Bare::new();
    let mut running = site.start(true, false);
    let refused = lab.server().within(|| running.hooks.attach(&interface("eth0"), Mode::Native)).unwrap_err();
    assert!(refused.told().contains("MTU 9000"), "{}", refused.report());
    let attached = running.attach(&lab, Mode::Auto);
    assert_eq!(attached.mode, Mode::Tc);
    assert!(attached.instead.unwrap().contains("MTU 9000"));
    assert_guarded(&lab, "large packets");
    drop(listener);
}

#[test]
fn an_interface_that_vanishes_before_it_is_attached_to_is_no_error_of_the_others() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let site = Bare::new();
    let mut running = site.start(true, true);
    let eth1 = lab.server().within(|| interface("eth1"));
    lab.server().ip("link del eth1");
    for mode in Mode::ALL {
        assert_eq!(lab.server().within(|| running.hooks.attach(&eth1, mode)).unwrap(), None, "{mode:?}");
    }
    running.attach(&lab, Mode::Auto);
}
