//! Modules and chains that change while packets come.

use super::support::{Bench, chain, guest, module, tcp};
use crate::{
    alert::{AlertKind, Verdict},
    flow::Ask,
    plane::{ChainConfig, ChainStep, FailPolicy, ModuleConfig},
};

/// Lets the first `n` packets through, and no other.
fn lets_through(n: u32) -> String {
    let body = format!(
        "(if (i32.ge_u (i32.load offset=1024 (i32.const 0)) (i32.const {n}))
            (then (i32.store offset=44 (local.get $p) (i32.const 1))))
         (i32.store offset=1024 (i32.const 0) (i32.add (i32.load offset=1024 (i32.const 0)) (local.get $n)))"
    );
    guest(&body)
}

const DROPS: &str = "(i32.store offset=44 (local.get $p) (i32.const 1))
    (call $condemn (i32.const 0) (i32.const 9)) (call $clear (i32.const 0) (i32.const 9))";

fn named(name: &str, modules: Vec<ChainStep>) -> ChainConfig {
    ChainConfig { name: name.into(), modules }
}

fn web() -> Vec<Vec<u8>> {
    vec![tcp(80, 2, b"")]
}

#[test]
fn a_module_that_stays_remembers_and_one_that_is_loaded_anew_does_not() {
    let (counts, _a) = module("counts", &lets_through(2));
    let (other, _b) = module("other", &guest(""));
    let both = [counts.clone(), other];
    let mut bench = Bench::new(&both);
    assert_eq!(bench.run(&web()), [true]);

    let (other, _c) = module("other", &guest("(drop (i32.const 1))"));
    let both = [counts.clone(), other];
    let before = bench.inspector.status();
    bench.change(&both, &[chain(&both)]).unwrap();
    assert_eq!((bench.run(&web()), bench.run(&web())), (vec![true], vec![false]), "it had seen one packet");
    let after = bench.inspector.status();
    assert_eq!(before[0].sha256, after[0].sha256);
    assert_ne!(before[1].sha256, after[1].sha256);
    let seen = |name: &str| after.iter().find(|module| module.name == name).unwrap().calls;
    assert_eq!((seen("counts"), seen("other")), (3, 2), "counters go on, whatever was loaded");

    let again = ModuleConfig { revision: 1, ..counts.clone() };
    bench.change(std::slice::from_ref(&again), &[chain(std::slice::from_ref(&again))]).unwrap();
    assert_eq!((bench.run(&web()), bench.run(&web())), (vec![true], vec![true]), "loaded anew, though nothing differs");

    let same_file = ModuleConfig { max_failures: 4, ..counts };
    bench.change(std::slice::from_ref(&same_file), &[chain(std::slice::from_ref(&same_file))]).unwrap();
    assert_eq!(bench.run(&web()), [true], "with other settings it begins anew");
    assert_eq!(bench.inspector.status().len(), 1);
    let both = [same_file, both[1].clone()];
    bench.change(&both, &[chain(&both)]).unwrap();
    assert_eq!(bench.inspector.status()[1].calls, 0, "what was unloaded has no past");
}

#[test]
fn what_is_wrong_changes_nothing() {
    let (counts, _a) = module("counts", &lets_through(1));
    let mut bench = Bench::new(std::slice::from_ref(&counts));
    assert_eq!(bench.run(&web()), [true]);
    let (broken, _b) = module("broken", "(module)");
    let (traps, _c) = module(
        "traps",
        &guest("").replace("(i32.const 0))\n  (func (export \"sxf_ins", "unreachable)\n  (func (export \"sxf_ins"),
    );
    for wrong in [broken, traps] {
        let both = [counts.clone(), wrong];
        let error = bench.change(&both, &[chain(&both)]).unwrap_err().to_string();
        assert!(error.contains(&both[1].name), "{error}");
    }
    let lost = [named("chain", vec!["waf".into()])];
    assert!(bench.change(std::slice::from_ref(&counts), &lost).unwrap_err().to_string().contains("waf"));
    let many: Vec<_> = (0..5).map(|n| ModuleConfig { name: n.to_string(), ..counts.clone() }).collect();
    let error = bench.change(&many, &[]).unwrap_err().to_string();
    assert!(error.contains("room for 4 modules") && error.contains("max_modules"), "{error}");
    assert_eq!(bench.run(&web()), [false], "the instance is the one that was");
}

#[test]
fn there_is_room_to_change_all_modules_one_after_the_other() {
    let (counts, _a) = module("0", &lets_through(9));
    let mut modules: Vec<_> = (0..4).map(|n| ModuleConfig { name: n.to_string(), ..counts.clone() }).collect();
    let mut bench = Bench::new(&modules);
    for round in 1..20_u32 {
        modules[(round % 4) as usize].max_failures = 10 + round;
        bench.change(&modules, &[chain(&modules)]).unwrap();
        assert_eq!(bench.run(&web()), [true]);
    }
}

#[test]
fn chains_keep_their_numbers_and_one_that_is_gone_is_the_first() {
    let (drops, _a) = module("drops", &guest(DROPS));
    let modules = [drops];
    let all = [named("default", vec!["drops".into()]), named("a", vec![]), named("b", vec![])];
    let mut bench = Bench::of_chains(&modules, &all).unwrap();
    assert_eq!((bench.run_chain(1, &web()), bench.run_chain(2, &web())), (vec![true], vec![true]));
    bench.change(&modules, &[all[0].clone(), named("b", vec![]), named("c", vec![])]).unwrap();
    let number = |bench: &Bench, name| bench.inspector.chain(name);
    assert_eq!((number(&bench, "a"), number(&bench, "b"), number(&bench, "c")), (None, Some(2), Some(3)));
    assert_eq!(bench.run_chain(1, &web()), [false], "what is on its way by a chain that is gone meets the first");
    assert_eq!(bench.run_chain(2, &web()), [true]);
    assert_eq!(bench.inspector.names().1, ["default", "a", "b", "c"], "alerts of the old chain are still named");
    assert_eq!(bench.inspector.status()[0].chains, ["default"]);
}

#[test]
fn what_a_monitored_module_would_drop_goes_on_and_is_told() {
    let (drops, _a) = module("drops", &guest(DROPS));
    let modules = [drops];
    let step = ChainStep { monitor: true, ..ChainStep::from("drops") };
    let mut bench =
        Bench::of_chains(&modules, &[named("watch", vec![step]), named("act", vec!["drops".into()])]).unwrap();
    assert_eq!(bench.run(&[web(), web()].concat()), [true, true]);
    assert_eq!(bench.asked().iter().map(|asked| asked.3).collect::<Vec<_>>(), [Ask::Clear], "it condemns nothing");
    let alerts = bench.raised();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((alerts[0].kind, alerts[0].verdict, alerts[0].module), (AlertKind::Monitor, Verdict::Pass, Some(0)));
    assert_eq!(&*alerts[0].message, "1 packets would be dropped by module drops");
    assert_eq!(bench.run_chain(1, &web()), [false], "elsewhere it does");
    let status = bench.status();
    assert_eq!((status.passed.packets, status.monitored.packets, status.dropped.packets), (2, 1, 1));
}

#[test]
fn a_chain_may_have_its_own_fail_policy_and_deadline() {
    let (traps, _a) = module("fails", &guest("unreachable"));
    let modules = [ModuleConfig { max_failures: 1000, ..traps }];
    let open = ChainStep { on_failure: Some(FailPolicy::Open), ..ChainStep::from("fails") };
    let watched = ChainStep { monitor: true, ..ChainStep::from("fails") };
    let chains = [named("closed", vec!["fails".into()]), named("open", vec![open]), named("watched", vec![watched])];
    let mut bench = Bench::of_chains(&modules, &chains).unwrap();
    let fates: Vec<_> = (0..3).flat_map(|chain| bench.run_chain(chain, &web())).collect();
    assert_eq!(fates, [false, true, true]);
    assert_eq!(bench.status().monitored.packets, 1);
}
