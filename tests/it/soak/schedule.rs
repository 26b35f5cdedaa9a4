//! The schedule of faults: a pure function of the seed, so that a run can be repeated.

use std::time::Duration;

use fastrand::Rng;

/// What happens, and to what. The lanes run beside each other; within a lane one fault ends before the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    KillAgent,
    KillSupervisor,
    /// The supervisor, and the agent as soon as another process has what it has.
    KillOneThenTheOther,
    /// Both at once: memory is gone, and the next helper starts an agent.
    KillBoth,
    KillAgentRepeatedly,
    StopAgent,
    StopSupervisor,
    StopBoth,
    /// Longer than a helper waits, and than a token lives.
    StopBothForLong,
    Reload,
    RemoveSocket,
    NoDescriptorsLeft,

    RegistryCut,
    RegistrySlow,
    RegistrySilent,
    RegistryErrors,
    RegistryLimitsRate,
    RegistrySendsGarbage,
    RegistryStopsHalfway,
    AwsErrors,
    AwsLimitsRate,
    AwsSilent,
    AwsSlow,
    AwsSendsGarbage,
    NetworkDown,
    NamesGone,

    FileReplaced,
    FileRewritten,
    FileRemoved,
    FileMalformed,
    FileIsPipe,
    FileIsDirectory,
    DirectoryMoved,
    DockerConfigMalformed,
    DockerConfigIsPipe,
    DockerConfigRemoved,
    DockerEntriesDropped,
    DiskFull,

    Push,
    Store,
    Erase,
    Refresh,
    Check,

    StatusClients,
    IdleClients,
    HalfRequests,
    SlowReaders,
    Followers,
}

/// One fault of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// The time since the end of the previous fault of the lane.
    pub(super) after: Duration,
    pub(super) fault: Fault,
    pub(super) lasts: Duration,
    /// A number that chooses the target or the amount.
    pub(super) choice: usize,
}

/// The faults between two rests, by lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) lanes: Vec<Vec<Step>>,
    /// Whether supervisor and agent live through the whole round, so that growth can be seen.
    pub(super) keeps_processes: bool,
}

/// How long the faults of a round take.
pub(super) const ROUND: Duration = Duration::from_secs(40);

use Fault as F;

const LANES: [(&[Fault], Millis); 5] = [
    (
        &[
            F::KillAgent,
            F::KillSupervisor,
            F::KillOneThenTheOther,
            F::KillBoth,
            F::KillAgentRepeatedly,
            F::StopAgent,
            F::StopSupervisor,
            F::StopBoth,
            F::StopBothForLong,
            F::Reload,
            F::RemoveSocket,
            F::NoDescriptorsLeft,
        ],
        (500, 3000),
    ),
    (
        &[
            F::RegistryCut,
            F::RegistrySlow,
            F::RegistrySilent,
            F::RegistryErrors,
            F::RegistryLimitsRate,
            F::RegistrySendsGarbage,
            F::RegistryStopsHalfway,
            F::AwsErrors,
            F::AwsLimitsRate,
            F::AwsSilent,
            F::AwsSlow,
            F::AwsSendsGarbage,
            F::NetworkDown,
            F::NamesGone,
        ],
        (100, 1500),
    ),
    (
        &[
            F::FileReplaced,
            F::FileRewritten,
            F::FileRemoved,
            F::FileMalformed,
            F::FileIsPipe,
            F::FileIsDirectory,
            F::DirectoryMoved,
            F::DockerConfigMalformed,
            F::DockerConfigIsPipe,
            F::DockerConfigRemoved,
            F::DockerEntriesDropped,
            F::DiskFull,
        ],
        (200, 2000),
    ),
    (&[F::Push, F::Store, F::Push, F::Erase, F::Push, F::Refresh, F::Push, F::Check], (200, 2000)),
    (
        &[F::StatusClients, F::IdleClients, F::HalfRequests, F::SlowReaders, F::Followers],
        (200, 2000),
    ),
];

type Millis = (u64, u64);

impl Fault {
    /// Whether a process of the product ends or executes itself again.
    fn ends_a_process(self) -> bool {
        matches!(
            self,
            F::KillAgent
                | F::KillSupervisor
                | F::KillOneThenTheOther
                | F::KillBoth
                | F::KillAgentRepeatedly
                | F::Reload
                | F::RemoveSocket
        )
    }

    /// How long it lasts, at least and at most.
    fn duration(self) -> Millis {
        match self {
            F::StopBothForLong => (15_000, 22_000),
            F::NetworkDown | F::NoDescriptorsLeft => (200, 2500),
            _ => (200, 4000),
        }
    }
}

/// The rounds of a run. The last third keeps supervisor and agent alive.
pub(super) fn schedule(seed: u64, rounds: usize) -> Vec<Round> {
    let mut random = Rng::with_seed(seed);
    let keeping = rounds.div_ceil(3);
    let mut decks: Vec<(Vec<Fault>, &[Fault], Millis)> =
        LANES.iter().map(|(faults, pauses)| (Vec::new(), *faults, *pauses)).collect();
    (0..rounds)
        .map(|round| {
            let keeps_processes = round + keeping >= rounds;
            let lanes = decks.iter_mut().map(|(deck, faults, pauses)| {
                lane(&mut random, deck, faults, *pauses, keeps_processes)
            });
            Round { lanes: lanes.collect(), keeps_processes }
        })
        .collect()
}

/// Draws from `deck`, which has each fault once and is then shuffled again: no fault is rare.
fn lane(
    random: &mut Rng,
    deck: &mut Vec<Fault>,
    faults: &[Fault],
    pauses: Millis,
    keeps_processes: bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut total = Duration::ZERO;
    loop {
        if deck.is_empty() {
            deck.extend(faults);
            random.shuffle(deck);
        }
        let Some(fault) = deck.pop() else { return steps };
        if keeps_processes && fault.ends_a_process() {
            continue;
        }
        let mut millis = |(least, most)| Duration::from_millis(random.u64(least..=most));
        let (after, lasts) = (millis(pauses), millis(fault.duration()));
        total += after + lasts;
        if total > ROUND {
            // It is the first of the next round.
            deck.push(fault);
            return steps;
        }
        steps.push(Step { after, fault, lasts, choice: random.usize(..) });
    }
}

#[test]
fn a_seed_gives_the_same_faults_each_time_and_another_seed_others() {
    assert_eq!(schedule(7, 9), schedule(7, 9));
    assert_ne!(schedule(7, 9), schedule(8, 9));
}

#[test]
fn a_short_run_has_every_fault_and_its_end_kills_no_process() {
    let rounds = schedule(1, super::rounds(super::SHORT_RUN));
    let all: std::collections::BTreeSet<Fault> = rounds.iter().flat_map(faults).collect();
    for fault in LANES.iter().flat_map(|(faults, _)| *faults) {
        assert!(all.contains(fault), "{fault:?} is not among {all:?}");
    }
    assert!(
        rounds[rounds.len() * 2 / 3..].iter().flat_map(faults).all(|fault| !fault.ends_a_process())
    );
}

#[cfg(test)]
fn faults(round: &Round) -> impl Iterator<Item = Fault> {
    round.lanes.iter().flatten().map(|step| step.fault)
}
