//! The first rule that matches, by number and shape of rules: ours, LPM_TRIE with bit vectors, and xdp-filter's own job.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Result, ensure};
use secuxflow::{
    rules::{
        Action, Ruleset,
        shapes::{self, Families, Random, SHAPES, Shape},
    },
    wire::{Fragment, Frame, parse},
};

use super::{
    figure::{self, BASE, Cell, Figure, LPM_BV, OURS, Topic, UNCACHED, XDP_FILTER, XDP_FILTER_IP},
    ours::Ours,
    plan::{Plan, say},
    verify::{Expected, XDP_DROP, XDP_PASS},
};
use crate::{
    bars::Bar,
    generator::Generator,
    peers::{
        lpm_bv::LpmBv,
        xdp_filter::{self, Features, XdpFilter},
    },
    rounds::{self, Subject},
    traffic::{MIXES, Mix, tcp},
};

/// Sizes that every classifier is measured with.
const SIZES: [u32; 4] = [10, 100, 1000, 10_000];
/// As many rules as secuxflow takes.
const FULL: u32 = 16_384;
const FAMILIES: [(Families, &str); 2] = [(Families::V4, "IPv4"), (Families::V6, "IPv6")];
/// How often a packet is drawn for each that is wanted, before the same one is taken twice.
const DRAWS: usize = 16;

/// Name of a shape in figures.
pub(super) fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Acl => "acl",
        Shape::Firewall => "fw",
        Shape::Chain => "ipc",
    }
}

/// A ruleset that inspects nothing: inspection in a test run would measure the fail policy.
pub(crate) fn ruleset(shape: Shape, families: Families, rules: u32, random: &mut Random) -> Ruleset {
    let mut ruleset = shapes::ruleset(shape, families, rules, random);
    for action in ruleset.rules.iter_mut().map(|rule| &mut rule.action).chain([&mut ruleset.default_action]) {
        if matches!(action, Action::Inspect { .. }) {
            *action = Action::Drop;
        }
    }
    ruleset
}

/// Distinct packets spread over the rules, whole ones only; with few rules there may be fewer distinct ones.
pub(super) fn frames(ruleset: &Ruleset, count: usize, random: &mut Random) -> Result<Vec<Vec<u8>>> {
    let (mut frames, mut seen) = (Vec::with_capacity(count), HashSet::new());
    for draw in 0..count * DRAWS * 2 {
        let frame = shapes::frame(ruleset, random);
        let whole = matches!(parse(&frame), Frame::Ip(headers) if headers.fragment == Fragment::None);
        if whole && (seen.insert(frame.clone()) || draw > count * DRAWS) {
            frames.push(frame);
            if frames.len() == count {
                return Ok(frames);
            }
        }
    }
    ensure!(frames.len() == count, "only {} of {count} packets for a ruleset", frames.len());
    Ok(frames)
}

/// All figures of rules.
pub(super) fn measure(generator: &mut Generator, plan: &Plan) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for size in plan.up_to(&SIZES).into_iter().chain(plan.up_to(&[FULL])) {
        for shape in SHAPES {
            for (families, family) in FAMILIES {
                let mut random = Random(u64::from(size) << 8 | 1);
                let ruleset = ruleset(shape, families, size, &mut random);
                let cell = Cell { topic: Topic::Rules, size, shape: name(shape), family, mix: Mix::Uniform };
                say(&format!("{} rules, {}, {family}", figure::thousands(size), name(shape)));
                figures.extend(measure_one(generator, plan, cell, &ruleset, &mut random)?);
            }
        }
    }
    Ok(figures)
}

/// The figures of one ruleset, with both mixes of traffic.
fn measure_one(
    generator: &mut Generator,
    plan: &Plan,
    cell: Cell,
    ruleset: &Ruleset,
    random: &mut Random,
) -> Result<Vec<Figure>> {
    generator.clear();
    let frames = frames(ruleset, plan.packets, random)?;
    let expected = Expected::of(ruleset, &frames)?;
    say(&format!("    {} packets, {} rules decide on them", frames.len(), expected.rules()));
    let once = generator.store(&frames)?;
    let ours = Ours::load(ruleset, true)?;
    expected.check(OURS, generator, ours.program(), once)?;
    expected.check_counts(OURS, ours.counts())?;
    let uncached = Ours::uncached(ruleset)?;
    expected.check(UNCACHED, generator, uncached.program(), once)?;
    let peer = if cell.size == FULL { None } else { Some(LpmBv::load(ruleset)?) };
    if let Some(peer) = &peer {
        expected.check(LPM_BV, generator, peer.program(), once)?;
        expected.check_counts(LPM_BV, peer.counts()?)?;
    }
    let folder = if cell.size == FULL { None } else { plan.xdp_filter.as_deref() };
    let listed = folder.map(|folder| Listed::load(folder, cell, plan.packets, generator, random)).transpose()?;
    let mut figures = Vec::new();
    for mix in MIXES {
        generator.clear();
        let walk = generator.store(&mix.draw(&frames, random))?;
        let own = listed.as_ref().map(|listed| generator.store(&mix.draw(&listed.frames, random))).transpose()?;
        let mut subjects = vec![
            Subject { name: BASE, program: generator.base(), walk },
            Subject { name: OURS, program: ours.program(), walk },
            Subject { name: UNCACHED, program: uncached.program(), walk },
        ];
        if let Some(peer) = &peer {
            subjects.push(Subject { name: LPM_BV, program: peer.program(), walk });
        }
        if let (Some(listed), Some(walk)) = (&listed, own) {
            subjects.push(Subject { name: XDP_FILTER, program: listed.all.program(), walk });
            subjects.push(Subject { name: XDP_FILTER_IP, program: listed.addresses.program(), walk });
        }
        let names: Vec<&'static str> = subjects.iter().map(|subject| subject.name).collect();
        let rounds = rounds::run(generator, &subjects, plan.effort)?;
        figures.extend(figure::of(Cell { mix, ..cell }, &names, &rounds));
    }
    Ok(figures)
}

/// xdp-filter with as many addresses as there are rules, and packets of which half come from them.
struct Listed {
    all: XdpFilter,
    addresses: XdpFilter,
    frames: Vec<Vec<u8>>,
}

impl Listed {
    fn load(folder: &Path, cell: Cell, packets: usize, generator: &mut Generator, random: &mut Random) -> Result<Self> {
        ensure!(cell.size as usize <= xdp_filter::CAPACITY, "xdp-filter has no room for {} addresses", cell.size);
        let v6 = cell.family == "IPv6";
        let listed: Vec<IpAddr> = (0..cell.size).map(|_| address(v6, random)).collect();
        let [all, addresses] =
            [Features::All, Features::Addresses].map(|which| XdpFilter::load(folder, which, &listed));
        let (all, addresses) = (all?, addresses?);
        let from: Vec<IpAddr> = (0..packets)
            .map(|_| if random.byte() < 128 { listed[random.below(listed.len())] } else { address(v6, random) })
            .collect();
        // Destinations differ like those of the rules' packets: it looks them up too, and finds none.
        let frames = from.iter().map(|from| tcp(*from, address(v6, random))).collect::<Result<Vec<_>>>()?;
        let listed: HashSet<IpAddr> = listed.into_iter().collect();
        let expected = from.iter().map(|from| if listed.contains(from) { XDP_DROP } else { XDP_PASS });
        let expected: Vec<u32> = expected.collect();
        let walk = generator.store(&frames)?;
        for filter in [&all, &addresses] {
            let right = generator.actions(filter.program(), walk)? == expected;
            ensure!(right, "xdp-filter gives other verdicts than its list says");
        }
        Ok(Self { all, addresses, frames })
    }
}

/// Any address.
fn address(v6: bool, random: &mut Random) -> IpAddr {
    let bytes = random.next().to_be_bytes();
    match (v6, bytes) {
        (true, [a, b, c, d, e, f, g, h]) => {
            Ipv6Addr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, a, b, c, d, e, f, g, h, 1]).into()
        }
        (false, [a, b, c, d, ..]) => Ipv4Addr::new(a % 223 + 1, b, c, d).into(),
    }
}

/// What is asked of rules, in hot traffic.
pub(super) fn bars(figures: &[Figure]) -> Vec<Bar> {
    let ours = figures
        .iter()
        .filter(|figure| figure.cell.topic == Topic::Rules && figure.cell.mix == Mix::Hot && figure.subject == OURS);
    let mut bars = Vec::new();
    for figure in ours {
        let limits: &[(&str, f64)] = match figure.cell.size {
            1000 => &[(LPM_BV, 0.6)],
            10_000 => &[(LPM_BV, 0.4), (XDP_FILTER, 1.0)],
            _ => &[],
        };
        for (peer, limit) in limits {
            if let Some(theirs) = figure::find(figures, &figure.cell, peer) {
                let name = format!("{}, against {peer}", figure.cell.words());
                bars.push(Bar::ratio(name, figure.net, peer, theirs.net, *limit));
            }
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Spread;

    fn figure(size: u32, subject: &'static str, net: f64) -> Figure {
        let cell = Cell { topic: Topic::Rules, size, shape: "acl", family: "IPv4", mix: Mix::Hot };
        Figure { cell, subject, gross: Spread::of([net + 30.0]), net, rounds: 1 }
    }

    #[test]
    fn bars_are_of_hot_traffic_at_two_sizes_and_of_peers_that_were_measured() {
        let figures = [
            figure(100, OURS, 500.0),
            figure(100, LPM_BV, 100.0),
            figure(1000, OURS, 59.0),
            figure(1000, LPM_BV, 100.0),
            figure(10_000, OURS, 50.0),
            figure(10_000, LPM_BV, 100.0),
            figure(10_000, XDP_FILTER, 51.0),
        ];
        let met: Vec<bool> = bars(&figures).iter().map(Bar::is_met).collect();
        assert_eq!(met, [true, false, true]);
        assert_eq!(bars(&figures[..3]), []);
    }

    #[test]
    #[ignore = "needs root"]
    fn the_peer_and_ours_agree_with_the_reference_model() {
        let agree = || {
            let mut generator = Generator::load(crate::lab::isolate().unwrap()).unwrap();
            for (shape, rules) in [(Shape::Acl, 3), (Shape::Firewall, 70), (Shape::Chain, 600)] {
                let mut random = Random(u64::from(rules));
                let ruleset = ruleset(shape, Families::Both, rules, &mut random);
                let frames = frames(&ruleset, 1024, &mut random).unwrap();
                let expected = Expected::of(&ruleset, &frames).unwrap();
                assert!(expected.rules() > 2);
                generator.clear();
                let walk = generator.store(&frames).unwrap();
                let (ours, peer) = (Ours::load(&ruleset, true).unwrap(), LpmBv::load(&ruleset).unwrap());
                expected.check(OURS, &generator, ours.program(), walk).unwrap();
                expected.check_counts(OURS, ours.counts()).unwrap();
                expected.check(LPM_BV, &generator, peer.program(), walk).unwrap();
                expected.check_counts(LPM_BV, peer.counts().unwrap()).unwrap();
            }
        };
        // The namespaces are the thread's.
        std::thread::spawn(agree).join().unwrap();
    }
}
