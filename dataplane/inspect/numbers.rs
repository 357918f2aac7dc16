//! Numbers of modules and chains: a name keeps its number for as long as it is there.

use std::time::{Duration, Instant};

/// Time for which the number of a name that is gone stands for no other, so that alerts and packets on their way mean what
/// they meant.
const REST: Duration = Duration::from_secs(60);

/// Names by their number.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(Vec<Place>);

#[derive(Debug, Clone)]
struct Place {
    name: String,
    /// When the name went.
    gone: Option<Instant>,
}

impl Numbers {
    /// Let exactly `names` be there, new ones with the lowest numbers that are free.
    ///
    /// # Errors
    /// More numbers would be needed than there are: how many.
    pub(super) fn set<'a>(&mut self, names: impl Iterator<Item = &'a str>, now: Instant) -> Result<(), usize> {
        let gone = |place: &Place| Place { name: place.name.clone(), gone: place.gone.or(Some(now)) };
        let mut places: Vec<Place> = self.0.iter().map(gone).collect();
        let mut fresh = Vec::new();
        for name in names {
            match places.iter_mut().find(|place| place.name == name) {
                Some(place) => place.gone = None,
                None => fresh.push(Place { name: name.to_owned(), gone: None }),
            }
        }
        let mut free = 0;
        for place in fresh {
            let rested = |place: &Place| place.gone.is_some_and(|gone| now.duration_since(gone) >= REST);
            free = (free..places.len()).find(|&number| rested(&places[number])).unwrap_or(places.len());
            if free == places.len() {
                places.push(place);
            } else {
                places[free] = place;
            }
        }
        if places.len() > usize::from(u16::MAX) {
            return Err(places.len());
        }
        self.0 = places;
        Ok(())
    }

    /// The number of a name that is there.
    pub(super) fn of(&self, name: &str) -> Option<u16> {
        let at = self.0.iter().position(|place| place.gone.is_none() && place.name == name);
        at.and_then(|at| u16::try_from(at).ok())
    }

    /// The name that each number stands for; none for those whose name is gone.
    pub(super) fn there(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(|place| place.gone.is_none().then_some(place.name.as_str()))
    }

    /// The name that each number stands for, or stood for last.
    pub(super) fn latest(&self) -> Vec<String> {
        self.0.iter().map(|place| place.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(numbers: &Numbers) -> Vec<&str> {
        numbers.there().map(|name| name.unwrap_or("-")).collect()
    }

    #[test]
    fn names_keep_their_numbers_and_those_of_others_rest_a_while() {
        let start = Instant::now();
        let mut numbers = Numbers::default();
        numbers.set(["a", "b", "c"].into_iter(), start).unwrap();
        numbers.set(["c", "a"].into_iter(), start).unwrap();
        assert_eq!(
            (there(&numbers), numbers.latest()),
            (vec!["a", "-", "c"], vec!["a".into(), "b".into(), "c".into()])
        );
        assert_eq!((numbers.of("c"), numbers.of("b")), (Some(2), None));
        numbers.set(["c", "a", "d"].into_iter(), start + Duration::from_secs(1)).unwrap();
        assert_eq!(there(&numbers), ["a", "-", "c", "d"], "b's number rests");
        let mut back = numbers.clone();
        back.set(["a", "b"].into_iter(), start + Duration::from_secs(2)).unwrap();
        assert_eq!(there(&back), ["a", "b", "-", "-"], "who comes back has the number as before");
        numbers.set(["a", "c", "e", "d", "f"].into_iter(), start + REST).unwrap();
        assert_eq!(there(&numbers), ["a", "e", "c", "d", "f"]);
    }

    #[test]
    fn there_are_not_more_than_fit() {
        let (now, most) = (Instant::now(), usize::from(u16::MAX));
        let rests = |n: usize| Place { name: n.to_string(), gone: Some(now) };
        let mut numbers = Numbers((1..most).map(rests).collect());
        numbers.set(["a"].into_iter(), now).unwrap();
        assert_eq!(numbers.set(["a", "b"].into_iter(), now), Err(most + 1));
        numbers.set(["a", "b"].into_iter(), now + REST).unwrap();
    }
}
