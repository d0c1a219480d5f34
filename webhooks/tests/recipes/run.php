<?php

require 'recipe.php';

$names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
while (($line = fgets(STDIN)) !== false) {
    [$secret, $body, $now, $fields] = [...array_slice($all = explode("\t", rtrim($line, "\n")), 0, 3), array_slice($all, 3)];
    $headers = [];
    foreach ($fields as $number => $field) {
        if ($field !== '-') {
            $headers[$names[$number]] = base64_decode($field);
        }
    }
    echo is_genuine(base64_decode($secret), $headers, base64_decode($body), (int) $now) ? "yes\n" : "no\n";
}
