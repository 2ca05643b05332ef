// Package rules tags session documents when they are saved: by expressions, and by lists of indicators.
//
// A rules file (YAML) names both. [Read] checks it and tells every problem with its line. A
// [Tagger] holds what is in force and applies it to documents: it loads the lists, looks for changes,
// and exchanges rules and lists while documents are tagged, each document by one state of both.
//
// Lists come first, then the rules in the order of the file; a rule sees the tags of those before
// it. What a document is tagged with depends on nothing but the document, the rules and the
// lists: not on the clock, and not on other documents.
//
// docs/rules.md describes the file.
package rules
