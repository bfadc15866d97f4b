# Judges pairs by Dpkg::Version: see ../../reference_test.go.
use strict;
use warnings;
use Dpkg::Version;

while (my $line = <STDIN>) {
    chomp $line;
    my ($x, $y) = map { Dpkg::Version->new($_) } split /\t/, $line, -1;
    printf "%d %d %d\n", $x->is_valid() ? 1 : 0, $y->is_valid() ? 1 : 0, $x <=> $y;
}
