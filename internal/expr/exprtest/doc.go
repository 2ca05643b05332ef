// Package exprtest holds expressions, and session documents that they divide, for
// the tests that compare engines: whatever evaluates the language must select the
// same documents as [expr.Expr.Match] does.
package exprtest
