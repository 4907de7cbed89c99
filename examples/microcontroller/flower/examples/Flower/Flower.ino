// Tells which iris has the measures that are typed into the serial monitor, in millimetres.
#include <flower.h>

void setup() {
  Serial.begin(9600);
  Serial.println("sepal length, sepal width, petal length, petal width?");
}

void loop() {
  if (!Serial.available()) return;
  flower_row row;
  row.sepal_length = Serial.parseInt();
  row.sepal_width = Serial.parseInt();
  row.petal_length = Serial.parseInt();
  row.petal_width = Serial.parseInt();
  Serial.println(flower_label[flower_predict(&row)]);
  while (Serial.available()) Serial.read();
}
