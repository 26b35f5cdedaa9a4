//! Documents that contain secrets leave no copy of them in freed memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::credentials::secret_json::to_json;
use registry_agent::domain::docker_config::{PublishedEntries, Wanted, edit};
use registry_agent::wire::handoff::{SavedState, reveal};

const CANARY: &str = "canary-of-freed-memory-0123456789-abcdefghijklm.";
const CANARY_IN_BASE64: &str = "Y2FuYXJ5LW9mLWZyZWVkLW1lbW9yeS0wMTIzNDU2Nzg5LWFiY2RlZmdoaWprbG0u";

/// Whether to search, which takes long.
static IS_SEARCHING: AtomicBool = AtomicBool::new(false);

/// How many blocks of memory contained the canary when they were freed.
static LEFT_BEHIND: AtomicUsize = AtomicUsize::new(0);

/// Searches each block that is freed. A block that grows is copied and freed.
struct SearchingAllocator;

#[expect(unsafe_code, reason = "only an allocator sees what is freed")]
unsafe impl GlobalAlloc for SearchingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules of `GlobalAlloc`, which are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let canaries = IS_SEARCHING.load(Ordering::Relaxed).then_some([CANARY, CANARY_IN_BASE64]);
        for canary in canaries.into_iter().flatten() {
            for start in 0..(layout.size() + 1).saturating_sub(canary.len()) {
                // SAFETY: the block has the size of its layout. Some of it may never have been
                // written, so the compiler must not know what is read.
                let byte = |at| unsafe { block.add(start + at).read_volatile() };
                if canary.bytes().enumerate().all(|(at, expected)| byte(at) == expected) {
                    LEFT_BEHIND.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: SearchingAllocator = SearchingAllocator;

/// How many blocks with the canary are freed meanwhile.
fn left_behind_by(work: impl FnOnce()) -> usize {
    // The tests of this file may run at the same time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    LEFT_BEHIND.store(0, Ordering::Relaxed);
    IS_SEARCHING.store(true, Ordering::Relaxed);
    work();
    IS_SEARCHING.store(false, Ordering::Relaxed);
    LEFT_BEHIND.load(Ordering::Relaxed)
}

#[test]
fn the_search_finds_what_is_not_zeroed() {
    assert_eq!(left_behind_by(|| drop(std::hint::black_box(CANARY.to_owned()))), 1);
    assert_eq!(left_behind_by(|| drop(Secret::new(CANARY))), 0);
}

#[test]
fn a_state_is_serialized_without_a_copy_of_its_secrets() {
    // The document grows after the secret is in it.
    let filler = Secret::new("filler".repeat(1000));
    let variables = BTreeMap::from([("A".to_owned(), CANARY.into()), ("B".to_owned(), filler)]);
    let state = SavedState { pushed: Some(reveal(&variables)), ..SavedState::default() };
    assert_eq!(left_behind_by(|| assert!(to_json(&state).unwrap().len() > 6000)), 0);
    assert_eq!(left_behind_by(|| drop((variables, state))), 0);
}

#[test]
fn plain_logins_are_published_without_a_copy_of_their_secrets() {
    // Of `user1:`, base64 makes eight characters, so that the canary begins a group of its own.
    let auths = [("a.test", "user1"), ("b.test", "<token>")];
    let login =
        |(key, user): (&str, &str)| (key.to_owned(), Credential::plain(user, CANARY.into()));
    let wanted = Wanted { auths: auths.map(login).into(), ..Wanted::default() };
    let publish = || {
        let edited = edit("x", "{}", &wanted, &PublishedEntries::default()).unwrap();
        let text = zeroize::Zeroizing::new(edited.text.unwrap());
        assert!(text.contains(CANARY) && text.contains(CANARY_IN_BASE64), "{}", *text);
    };
    assert_eq!(left_behind_by(publish), 0);
}
