//! Makes faults happen and undoes them.

mod clients;
mod files;
mod logins;
mod network;
mod processes;

use super::schedule::{Fault as F, Step};
use super::world::World;

/// Makes one fault happen, keeps it for as long as the step says, and undoes it.
pub(super) fn run(world: &World, step: &Step) {
    registry_agent::adapters::clock::pause(step.after);
    world.tally.begins(step.fault);
    make(world, step);
    world.tally.ends(step.fault);
}

fn make(world: &World, step: &Step) {
    match step.fault {
        F::KillAgent
        | F::KillSupervisor
        | F::KillOneThenTheOther
        | F::KillBoth
        | F::KillAgentRepeatedly
        | F::StopAgent
        | F::StopSupervisor
        | F::StopBoth
        | F::StopBothForLong
        | F::Reload
        | F::RemoveSocket
        | F::NoDescriptorsLeft => processes::run(world, step),
        F::RegistryCut
        | F::RegistrySlow
        | F::RegistrySilent
        | F::RegistryErrors
        | F::RegistryLimitsRate
        | F::RegistrySendsGarbage
        | F::RegistryStopsHalfway
        | F::AwsErrors
        | F::AwsLimitsRate
        | F::AwsSilent
        | F::AwsSlow
        | F::AwsSendsGarbage
        | F::NetworkDown
        | F::NamesGone => network::run(world, step),
        F::FileReplaced
        | F::FileRewritten
        | F::FileRemoved
        | F::FileMalformed
        | F::FileIsPipe
        | F::FileIsDirectory
        | F::DirectoryMoved
        | F::DockerConfigMalformed
        | F::DockerConfigIsPipe
        | F::DockerConfigRemoved
        | F::DockerEntriesDropped
        | F::DiskFull => files::run(world, step),
        F::Push | F::Store | F::Erase | F::Refresh | F::Check => logins::run(world, step),
        F::StatusClients | F::IdleClients | F::HalfRequests | F::SlowReaders | F::Followers => {
            clients::run(world, step);
        }
    }
}
