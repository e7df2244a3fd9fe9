//! Who gives when the store holds too much: oldest first, but nobody pays for a louder one.
//!
//! The *level* is what each stream may hold so that all together hold what is allowed: those that hold less count with
//! what they hold, and leave the rest to the others.
//!
//! ```text
//! allowed: 10      a: 1   b: 2   c: 9   d: 4        level 3.5:  1 + 2 + 3.5 + 3.5
//! ```
//!
//! 1. While too much is held, the oldest segment goes of all streams that hold more than the level: here of c and d.
//! 2. When none of them can give, the oldest segment of all streams goes.
//! 3. When nobody can give, more is held than is allowed.
//!
//! The level rises while streams give, so whoever holds less than an equal share gives nothing before the others have given
//! all they can. `docs/retention.md` tells why.

use std::collections::BTreeSet;

/// What a stream holds, as far as the rule needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// All that it holds.
    pub bytes: u64,
    /// The age of its oldest segment, as a time.
    pub oldest_s: u32,
    /// It has a segment that may go.
    pub can_give: bool,
}

/// The rule, applied to streams by their place in a list.
#[derive(Debug)]
pub struct Budget {
    allowed_bytes: u64,
    held_bytes: u64,
    held: Vec<Held>,
    /// Streams above the level, by what they hold.
    above: BTreeSet<(u64, usize)>,
    /// What the others hold together.
    below_bytes: u64,
    /// Streams that can give, oldest first: those above the level, and the others.
    givers_above: BTreeSet<(u32, usize)>,
    givers_below: BTreeSet<(u32, usize)>,
}

impl Budget {
    /// All streams together are to hold `allowed_bytes` at most.
    pub fn new(allowed_bytes: u64, held: Vec<Held>) -> Self {
        let mut budget = Self {
            allowed_bytes,
            held_bytes: held.iter().map(|held| held.bytes).sum(),
            above: held.iter().map(|held| held.bytes).zip(0..).collect(),
            below_bytes: 0,
            givers_above: held
                .iter()
                .zip(0..)
                .filter(|(held, _)| held.can_give)
                .map(|(held, place)| (held.oldest_s, place))
                .collect(),
            givers_below: BTreeSet::new(),
            held,
        };
        budget.settle();
        budget
    }

    /// Too much is held.
    pub fn is_exceeded(&self) -> bool {
        self.held_bytes > self.allowed_bytes
    }

    /// Who gives his oldest segment next. Tell what he holds then with `gave`.
    pub fn next(&self) -> Option<usize> {
        if !self.is_exceeded() {
            return None;
        }
        let next = self
            .givers_above
            .first()
            .or_else(|| self.givers_below.first());
        next.map(|&(_, place)| place)
    }

    /// What a stream holds now; less than before, or it cannot give.
    pub fn gave(&mut self, place: usize, now: Held) {
        let Some(held) = self.held.get_mut(place) else {
            return;
        };
        let before = std::mem::replace(held, now);
        self.held_bytes = self.held_bytes - before.bytes + now.bytes;
        self.givers_above.remove(&(before.oldest_s, place));
        self.givers_below.remove(&(before.oldest_s, place));
        let is_above = self.above.remove(&(before.bytes, place));
        if is_above {
            self.above.insert((now.bytes, place));
        } else {
            self.below_bytes = self.below_bytes - before.bytes + now.bytes;
        }
        if now.can_give {
            let givers = if is_above {
                &mut self.givers_above
            } else {
                &mut self.givers_below
            };
            givers.insert((now.oldest_s, place));
        }
        self.settle();
    }

    /// What each stream above the level may hold.
    fn level(&self) -> u64 {
        self.allowed_bytes
            .saturating_sub(self.below_bytes)
            .checked_div(self.above.len() as u64)
            .unwrap_or(u64::MAX)
    }

    /// Finds who is not above the level. Each who goes below leaves the others more.
    fn settle(&mut self) {
        while let Some(&(bytes, place)) = self.above.first() {
            if bytes > self.level() {
                return;
            }
            self.above.pop_first();
            self.below_bytes += bytes;
            let oldest_s = self.held.get(place).map_or(0, |held| held.oldest_s);
            if self.givers_above.remove(&(oldest_s, place)) {
                self.givers_below.insert((oldest_s, place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Held};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A stream: its segments with their times, oldest first, and whether the newest one must stay.
    #[derive(Clone, Debug)]
    struct Stream {
        segments: Vec<(u64, u32)>,
        is_active: bool,
    }

    impl Stream {
        fn held(&self) -> Held {
            Held {
                bytes: self.segments.iter().map(|(bytes, _)| bytes).sum(),
                oldest_s: self.segments.first().map_or(0, |&(_, time)| time),
                can_give: self.segments.len() > usize::from(self.is_active),
            }
        }
    }

    fn ended(segments: &[(u64, u32)]) -> Stream {
        Stream {
            segments: segments.to_vec(),
            is_active: false,
        }
    }

    fn active(segments: &[(u64, u32)]) -> Stream {
        Stream {
            is_active: true,
            ..ended(segments)
        }
    }

    /// Applies the rule; the places of those who gave, in order.
    fn trim(allowed_bytes: u64, streams: &mut [Stream]) -> Vec<usize> {
        let mut budget = Budget::new(allowed_bytes, streams.iter().map(Stream::held).collect());
        let mut gave = Vec::new();
        while let Some(place) = budget.next() {
            streams[place].segments.remove(0);
            budget.gave(place, streams[place].held());
            gave.push(place);
        }
        gave
    }

    fn bytes(streams: &[Stream]) -> u64 {
        streams.iter().map(|stream| stream.held().bytes).sum()
    }

    #[test]
    fn what_is_allowed_to_the_byte_is_left_alone() {
        let streams = [ended(&[(6, 1)]), active(&[(2, 2), (2, 3)])];
        assert_eq!(trim(10, &mut streams.clone()), [0; 0]);
        assert_eq!(trim(9, &mut streams.clone()).len(), 1);
    }

    #[test]
    fn a_loud_stream_gives_although_the_quiet_ones_are_older() {
        let mut streams = vec![active(&[(10, 100), (10, 101), (10, 102), (10, 103)])];
        streams.extend(vec![ended(&[(1, 1)]); 10]);
        assert_eq!(trim(30, &mut streams), [0, 0]);
    }

    #[test]
    fn of_two_loud_streams_the_older_segments_go_first() {
        let mut streams = [
            ended(&[(10, 5), (10, 20), (10, 30)]),
            ended(&[(10, 7), (10, 8), (10, 40)]),
            ended(&[(1, 1)]),
        ];
        assert_eq!(trim(31, &mut streams), [0, 1, 1]);
    }

    #[test]
    fn when_the_loud_ones_can_give_no_more_the_oldest_of_all_goes() {
        let mut streams = [
            active(&[(90, 100)]),
            ended(&[(4, 3)]),
            ended(&[(4, 2)]),
            active(&[(2, 1), (2, 4)]),
        ];
        assert_eq!(trim(95, &mut streams), [3, 2, 1]);
    }

    #[test]
    fn the_newest_segment_of_an_active_stream_stays_whatever_is_allowed() {
        let mut streams = [active(&[(5, 1), (5, 2)]), active(&[(7, 3)])];
        assert_eq!(trim(0, &mut streams), [0]);
        assert_eq!(bytes(&streams), 12);
    }

    /// The rule as the head of this file has it, with nothing remembered from one step to the next.
    fn next_by_definition(allowed_bytes: u64, streams: &[Stream]) -> Option<usize> {
        let held: Vec<Held> = streams.iter().map(Stream::held).collect();
        let total: u64 = held.iter().map(|held| held.bytes).sum();
        if total <= allowed_bytes {
            return None;
        }
        // The highest level at which no more is held than is allowed.
        let mut level = 0;
        while held
            .iter()
            .map(|held| held.bytes.min(level + 1))
            .sum::<u64>()
            <= allowed_bytes
        {
            level += 1;
        }
        let oldest = |floor: Option<u64>| {
            (0..held.len())
                .filter(|&place| held[place].can_give)
                .filter(|&place| floor.is_none_or(|floor| held[place].bytes > floor))
                .min_by_key(|&place| (held[place].oldest_s, place))
        };
        oldest(Some(level)).or_else(|| oldest(None))
    }

    fn streams() -> impl Strategy<Value = Vec<Stream>> {
        let segments = vec((1_u64..40, 0_u32..5), 0..6);
        let stream = (segments, any::<bool>()).prop_map(|(mut segments, is_active)| {
            segments.sort_by_key(|&(_, time)| time);
            Stream {
                segments,
                is_active,
            }
        });
        vec(stream, 0..12)
    }

    proptest! {
        #[test]
        fn each_step_is_the_one_that_the_rule_names(
            streams in streams(), allowed_bytes in 0_u64..400,
        ) {
            let mut streams = streams;
            let held = streams.iter().map(Stream::held).collect();
            let mut budget = Budget::new(allowed_bytes, held);
            loop {
                let next = budget.next();
                prop_assert_eq!(next, next_by_definition(allowed_bytes, &streams));
                let Some(place) = next else { break };
                streams[place].segments.remove(0);
                budget.gave(place, streams[place].held());
            }
        }

        #[test]
        fn in_the_end_it_is_enough_or_nobody_can_give(
            streams in streams(), allowed_bytes in 0_u64..400,
        ) {
            let mut streams = streams;
            trim(allowed_bytes, &mut streams);
            let can_give = streams.iter().any(|stream| stream.held().can_give);
            prop_assert!(bytes(&streams) <= allowed_bytes || !can_give);
        }

        #[test]
        fn who_holds_less_than_an_equal_share_gives_nothing_while_others_can(
            streams in streams(), allowed_bytes in 0_u64..400,
        ) {
            let mut streams = streams;
            for stream in &mut streams {
                stream.is_active = false;
            }
            let share = allowed_bytes / (streams.len().max(1) as u64);
            let before = streams.clone();
            for place in trim(allowed_bytes, &mut streams) {
                prop_assert!(before[place].held().bytes > share);
            }
        }
    }
}
