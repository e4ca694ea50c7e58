"""The versions, one file each, named for its number. A version that was released is never edited."""
