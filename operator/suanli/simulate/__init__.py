"""A country and a trace run through the solver as weeks or years would: pure, with chance from a seed that is given."""
