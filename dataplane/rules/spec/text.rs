//! Fields that people write in more than one way: `80`, `"80"`, `[80, "8000-8080"]` are all a text.

use std::fmt;

use serde::{Deserializer, de};

/// A text or a whole number.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Text { list: false })
}

/// A text, a whole number, or a list of them, which becomes one with commas.
pub(super) fn text_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Text { list: true })
}

struct Text {
    list: bool,
}

impl<'de> de::Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.list {
            "a string, a whole number, or a list of them"
        } else {
            "a string or a whole number"
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        if !self.list {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut list = String::new();
        let mut count = 0_u32;
        while let Some(Item(item)) = items.next_element()? {
            if count > 0 {
                list.push(',');
            }
            list.push_str(&item);
            count += 1;
        }
        Ok(Some(list))
    }
}

/// One of a list.
struct Item(String);

impl<'de> de::Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = from.deserialize_any(Text { list: false })?;
        text.map(Self).ok_or_else(|| de::Error::custom("a list holds no null"))
    }
}
